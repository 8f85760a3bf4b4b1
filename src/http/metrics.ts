/** The figures of this process for Prometheus, for a key of the platform that has `metrics:read`. */
import { Hono } from 'hono'
import type { Platform } from '../platform.ts'
import type { PrometheusRegistry } from '../telemetry/prometheus.ts'
import { authenticate, onPlatform } from './api/authenticate.ts'
import { type ApiEnv, permit } from './api/env.ts'

let registry: Promise<PrometheusRegistry> | null = null

/** Counting begins with the first call, and is one for the whole process. Only who serves figures loads the SDK. */
export function countForPrometheus(): Promise<PrometheusRegistry> {
  registry ??= import('../telemetry/prometheus.ts').then((sdk) => sdk.createPrometheusRegistry())
  return registry
}

export function metricsRoutes(platform: () => Platform): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get('/metrics', onPlatform(platform), authenticate, async (context) => {
    permit(context, 'metrics:read', null)
    const prometheus = await countForPrometheus()
    return context.body(await prometheus.collect(), 200, { 'content-type': prometheus.contentType })
  })
}
