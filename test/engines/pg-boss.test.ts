import { engineConformance } from './conformance.ts'

engineConformance('pg-boss')
