import { engineConformance } from './conformance.ts'

engineConformance('inline')
