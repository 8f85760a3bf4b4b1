import { leakSecrets } from './leak/secrets.ts'

export default [leakSecrets]
