import { engineConformance } from './conformance.ts'

engineConformance('trigger.dev')
