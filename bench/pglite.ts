import { PGlite } from "@electric-sql/pglite"

/* What PGlite takes to make a database in a folder, with nothing else around it. */
const database = await PGlite.create(process.env["DATA_DIR"] ?? "data")
await database.query("select 1")
process.stdout.write("listens on http://nowhere\n")
process.once("SIGTERM", () => void database.close().then(() => process.exit(0)))
