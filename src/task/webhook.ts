/** Which events of a provider trigger a task, and with what payload. */
import type { z } from 'zod'
import { InvalidTaskError } from '../errors.ts'
import { isServiceName, type ServiceName } from '../services/registry.ts'
import type { WebhookEvent } from '../services/service.ts'
import type { PayloadSchema } from './payload.ts'

// biome-ignore lint/suspicious/noExplicitAny: a list of tasks holds different schemas, which only `any` unifies.
export interface TaskWebhook<Schema extends PayloadSchema = any> {
  service: ServiceName
  /** As the provider names them: `video.asset.ready`, `orders/updated`. */
  events: readonly string[]
  /**
   * The payload of the run; the platform adds `tenantId`. Null: this event is not for the task. The body is whatever
   * the provider sent, so read it with care: what is thrown here answers the provider with an error.
   */
  payload(event: WebhookEvent): Omit<z.input<Schema>, 'tenantId'> | null
}

/** @throws InvalidTaskError */
export function readWebhooks<Schema extends PayloadSchema>(
  taskId: string,
  webhooks: readonly TaskWebhook<Schema>[],
): readonly TaskWebhook[] {
  const isFine = ({ service, events, payload }: TaskWebhook<Schema>) =>
    isServiceName(service) &&
    Array.isArray(events) &&
    events.length > 0 &&
    events.every((event) => typeof event === 'string' && event !== '') &&
    typeof payload === 'function'
  if (Array.isArray(webhooks) && webhooks.every(isFine)) return Object.freeze([...webhooks])
  throw new InvalidTaskError(
    `webhooks of ${taskId} must be a list like [{ service: 'mux', events: ['video.asset.ready'], payload }].`,
  )
}
