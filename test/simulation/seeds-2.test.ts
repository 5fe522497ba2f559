import { sweep } from "./sweep.ts"

sweep(1501, 3000)
