/** Where Trigger.dev finds the tasks: all those of the registry. */
import { toTriggerTasks } from '@cgk-platform/jobs/trigger'
import registry from './index.ts'

toTriggerTasks(registry)
