import { sweep } from "./sweep.ts"

sweep(1, 1500)
