import { fail } from './work/fail.ts'
import { receipt } from './work/receipt.ts'
import { stray } from './work/stray.ts'
import { talk } from './work/talk.ts'
import { wait } from './work/wait.ts'

export default [wait, fail, receipt, stray, talk]
