import { fail } from './work/fail.ts'
import { wait } from './work/wait.ts'

export default [wait, fail]
