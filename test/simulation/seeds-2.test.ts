import { sweep } from "./sweep.ts"

sweep(2501, 5000)
