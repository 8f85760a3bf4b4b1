import { expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { generateAiContent } from '../../../tasks/videos/generate-ai-content.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, find, set } from '../rows.ts'

const providers = useProviders(['anthropic'], { tasks: [generateAiContent] })

const transcribed = { transcription_status: 'completed', transcription_text: 'Buy milk, please.' }
const addVideo = (fields: object = {}) =>
  add(tenantId, 'videos', { title: 'Shop', ...transcribed, ...fields })
const video = (id: string) => find(tenantId, 'videos', id)
const run = (videoId: string, model?: string) =>
  kit.runTask(generateAiContent, { tenantId, videoId, ...(model && { model }) })
const content = { title: 'Milk', summary: 'Somebody needs milk.', tasks: ['Buy milk'] }
const say = (value: unknown) => {
  providers.anthropic.reply = { text: JSON.stringify(value) }
}

test('title, summary and tasks from the transcript, and what they cost', async () => {
  say(content)
  const videoId = await addVideo()
  const usage = { model: 'claude-haiku-4-5', input_tokens: 1_200, output_tokens: 80 }
  expect(await run(videoId)).toEqual({ videoId, ...content, usage, alreadyGenerated: false })
  expect(await video(videoId)).toMatchObject({
    ai_title: 'Milk',
    ai_summary: 'Somebody needs milk.',
    ai_tasks: ['Buy milk'],
    ai_usage: usage,
  })
  const { body } = providers.anthropic.received('POST', '/v1/messages')[0]!
  expect(body.messages[0].content).toContain('<transcript>\nBuy milk, please.\n</transcript>')
  expect(body).toMatchObject({
    model: 'claude-haiku-4-5',
    output_config: { format: { type: 'json_schema' } },
  })
})

test('content that is there is the answer, until the transcript changes or another model is named', async () => {
  say(content)
  const videoId = await addVideo()
  const calls = () => providers.anthropic.requests.length
  const first = await run(videoId)
  expect(await run(videoId)).toEqual({ ...first, alreadyGenerated: true })
  expect(await run(videoId, 'claude-haiku-4-5')).toEqual({ ...first, alreadyGenerated: true })
  expect(calls()).toBe(1)

  expect(await run(videoId, 'claude-sonnet-5-5')).toMatchObject({ usage: { model: 'claude-sonnet-5-5' } })
  expect(await run(videoId)).toMatchObject({ usage: { model: 'claude-sonnet-5-5' }, alreadyGenerated: true })
  expect(calls()).toBe(2)

  await set(tenantId, 'videos', videoId, 'transcription_text', 'Buy bread.')
  say({ ...content, title: 'Bread' })
  expect(await run(videoId)).toMatchObject({ title: 'Bread', alreadyGenerated: false })
  expect(calls()).toBe(3)
})

test('a transcript that changes meanwhile has its content made from what it is now', async () => {
  const videoId = await addVideo()
  const reply = { text: JSON.stringify(content) }
  say(content)
  providers.anthropic.loseAnswer(async ({ body }) => {
    await set(tenantId, 'videos', videoId, 'transcription_text', 'Something else.')
    const usage = { input_tokens: 1, output_tokens: 1 }
    return {
      body: { model: body.model, content: [{ type: 'text', ...reply }], stop_reason: 'end_turn', usage },
    }
  })
  await expect(run(videoId)).rejects.toThrow(/another transcript/)
  expect((await video(videoId)).ai_title).toBeNull()
  expect(await run(videoId)).toMatchObject({ title: 'Milk' })
})

test.each([
  ['no JSON', { text: 'Here you are: {' }],
  ['no title', { text: JSON.stringify({ ...content, title: ' ' }) }],
  ['tasks that are no list', { text: JSON.stringify({ ...content, tasks: 'Buy milk' }) }],
  ['a title that is a novel', { text: JSON.stringify({ ...content, title: 'x'.repeat(201) }) }],
  ['what Postgres cannot store', { text: JSON.stringify({ ...content, summary: 'a\0b' }) }],
  ['half of it', { text: '{"title": "Mi', stopReason: 'max_tokens' as const }],
])('an answer with %s is a retry, and nothing is kept', async (_, reply) => {
  providers.anthropic.reply = reply
  const videoId = await addVideo()
  await expect(run(videoId)).rejects.toThrow(/Claude's answer (does not fit|was cut off)/)
  expect(await video(videoId)).toMatchObject({ ai_title: null, ai_usage: null })
  say(content)
  expect(await run(videoId)).toMatchObject(content)
})

test('on a worker an answer that does not fit is asked for again', async () => {
  const videoId = await addVideo()
  let calls = 0
  providers.anthropic.reply = () => ({ text: ++calls === 1 ? 'no' : JSON.stringify(content) })
  const { id } = await generateAiContent.trigger({ tenantId, videoId })
  await kit.drain()
  await kit.advance('1h')
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'completed', attempt: 2 })
})

test('a refusal is final, and so is a transcript that no model reads to its end', async () => {
  const videoId = await addVideo()
  providers.anthropic.reply = { text: '', stopReason: 'refusal' }
  await expectAbort(run(videoId), /refuses/)
  const usage = { input_tokens: 1, output_tokens: 1 }
  providers.anthropic.answerNext({
    body: { content: [], stop_reason: 'model_context_window_exceeded', usage },
  })
  await expectAbort(run(videoId), /too long for this model/)
  await expect(run(videoId, 'claude-nobody')).rejects.toMatchObject({ status: 404 })
})

test('a transcript of a day is cut in its middle', async () => {
  say(content)
  const text = `begin ${'🙂'.repeat(300_000)} end`
  await run(await addVideo({ transcription_text: text }))
  const sent: string = providers.anthropic.requests[0]!.body.messages[0].content
  expect(sent.length).toBeLessThan(401_000)
  expect(sent).toMatch(/begin [\s\S]*\n\n\[\.\.\.\]\n\n[\s\S]* end\n<\/transcript>$/)
  expect(sent.isWellFormed()).toBe(true)
})

test('without a transcript there is nothing to read', async () => {
  await expectAbort(run('nope'), /no video nope/)
  await expectAbort(run(await addVideo({ status: 'deleted' })), /is deleted/)
  await expectAbort(run(await addVideo({ transcription_text: ' ' })), /Nobody speaks/)
  await expectAbort(run(await addVideo({ transcription_text: null })), /run videos\/transcribe first/)
  for (const transcription_status of [null, 'pending', 'processing', 'failed']) {
    await expectAbort(run(await addVideo({ transcription_status })), /run videos\/transcribe first/)
  }
  expect(providers.anthropic.requests).toEqual([])
})
