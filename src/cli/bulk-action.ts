/**
 * The way of `run:replay` and `run:cancel`: preview, confirm, see it done. Nothing happens to a run before somebody has
 * said how many runs that are and why, at the terminal or on the command line.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Actor } from '../audit/audit.ts'
import { UnknownTenantError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import type { BulkAction, Selection } from '../runs/bulk/action.ts'
import type { Preview } from '../runs/bulk/preview.ts'
import { cliActor } from './actor.ts'
import { ask } from './ask.ts'
import type { BulkOptions, DoOptions } from './bulk-options.ts'
import { countsText, previewText, runsOfTenants, verb } from './bulk-text.ts'
import { given } from './given.ts'
import { stopAsked } from './interrupt.ts'
import { plural, printJson } from './print.ts'
import { startBar } from './progress.ts'
import { type Jobs, withQueue } from './session.ts'

const notConfirmed = 2

/** `preview` asks for it; everything after that is the same for a replay and a cancel. */
export async function carryOut(
  selection: Selection,
  options: BulkOptions,
  command: Command,
  preview: (jobs: Jobs, by: Actor) => Promise<Preview>,
): Promise<void> {
  if (options.yes && options.reason === undefined) command.error('error: --yes needs a --reason')
  await withQueue(async (jobs, platform) => {
    const by = cliActor()
    await refuseUnknownTenant(selection, platform)
    const previewed = await preview(jobs, by)
    const leftOut = 'runIds' in selection ? selection.runIds.length - previewed.total : 0
    const say = options.json ? console.error : console.log
    say(describe(previewed, leftOut))
    if (previewed.counts.waiting === 0) {
      if (options.json) printJson(previewed)
      if (previewed.total + leftOut > 0) process.exitCode = 1
      return
    }
    const reason = await confirmHere(previewed, options)
    if (reason === null) {
      if (options.json) printJson(previewed)
      process.exitCode = notConfirmed
      return
    }
    await confirmAndDo(previewed.id, { ...options, reason }, jobs, platform)
    if (leftOut > 0) process.exitCode = 1
  })
}

/** What was confirmed before is gone on with. */
export async function confirmAndDo(
  id: string,
  { reason, rate, detach, json }: DoOptions & { reason: string },
  jobs: Jobs,
  platform: Platform,
): Promise<void> {
  const confirmation = { by: cliActor(), reason, ...given({ perSecond: rate }) }
  const confirmed = await jobs.bulkActions.confirm(id, confirmation)
  const action = detach ? confirmed : await seeItDone(confirmed, jobs, platform)
  if (json) printJson(action)
  else console.log(outcome(action))
  if (!isWhole(action)) process.exitCode = 1
}

async function refuseUnknownTenant(selection: Selection, platform: Platform): Promise<void> {
  const tenantId = 'filter' in selection ? selection.filter.tenantId : undefined
  if (tenantId === undefined) return
  const { directory } = await platform.ready()
  if (!(await directory.find(tenantId))) throw new UnknownTenantError(tenantId)
}

function describe(preview: Preview, leftOut: number): string {
  const { kind, total, counts, selection } = preview
  const states = 'filter' in selection ? selection.filter.states : undefined
  const others = kind === 'replay' ? 'still open' : 'not open any more'
  const parts = [
    total === 0 && leftOut === 0
      ? `Nothing to ${kind}: no run that matches is ${states?.join(' or ') ?? 'open'}.`
      : null,
    total > 0 ? previewText(preview) : null,
    leftOut > 0 ? `${plural(leftOut, 'run is', 'runs are')} ${others} and left out.` : null,
    total + leftOut > 0 && counts.waiting === 0 ? `There is nothing left to ${kind}.` : null,
  ]
  return parts.filter((part) => part !== null).join('\n')
}

/** Answers the reason; null: nobody confirmed it. The number is typed, for a `y` is typed by habit. */
async function confirmHere(preview: Preview, { yes, reason }: BulkOptions): Promise<string | null> {
  if (yes) return reason!
  const { id, kind, counts } = preview
  if (!process.stdin.isTTY) {
    console.error(
      `Nothing was done. To do it for exactly these runs, within the hour: cgk replay:confirm ${id} --reason '...'; or add --yes and --reason, and it is done for those that match then.`,
    )
    return null
  }
  const count = String(counts.waiting)
  const question = `${verb(kind).now} ${runsOfTenants(counts.waiting, preview)}? Type ${count} to confirm`
  if ((await ask(question)) !== count) {
    console.error(`That is not ${count}. Nothing was done.`)
    return null
  }
  return reason ?? (await ask('Why? It is kept in the audit log'))
}

const lookEveryMs = 250

/** Does it here, beside whatever workers do of it. Ctrl-C leaves it to them, and to `cgk serve`. */
async function seeItDone(
  { id, kind, total }: BulkAction,
  { bulkActions }: Jobs,
  platform: Platform,
): Promise<BulkAction> {
  const bar = startBar(total, verb(kind).ing)
  const leave = () => {
    bar.stop()
    console.error(`Left half-way. ${whatNext(id)}`)
  }
  const stop = stopAsked()
  stop.addEventListener('abort', leave, { once: true })
  const driver = await platform.driveBulkActions()
  try {
    for (;;) {
      const action = await bulkActions.get(id)
      bar.update(total - action.counts.waiting)
      if (action.state !== 'running') return action
      await sleep(lookEveryMs)
    }
  } finally {
    stop.removeEventListener('abort', leave)
    bar.stop()
    await driver.stop()
  }
}

function outcome(action: BulkAction): string {
  const { id, kind, state, counts } = action
  if (state === 'running') return `${runsOfTenants(counts.waiting, action)} to ${kind}. ${whatNext(id)}`
  const done = state === 'stopped' ? 'Stopped half-way' : verb(kind).ed
  const watch = kind === 'replay' ? `\nWatch what comes of it with: cgk replay:show ${id} --follow` : ''
  return `${done}: ${countsText(action)}.${watch}`
}

function whatNext(id: string): string {
  return `A worker or cgk serve goes on with it. Watch it with: cgk replay:show ${id} --follow; stop it with: cgk replay:stop ${id}`
}

function isWhole({ state, counts: { refused, skipped } }: BulkAction): boolean {
  return state !== 'stopped' && refused === 0 && skipped === 0
}
