/** What the tests of transcriptions share. */
import type { AssemblyAIServer } from '../../fixtures/providers/assemblyai.ts'

/** AssemblyAI's list as it is now, for the next look into it: made when each transcript was seen to be there. */
export function listNext(server: AssemblyAIServer, createdAt: (id: string) => Date = () => new Date()): void {
  server.answerNext(
    ({ query }) => {
      const all = [...server.transcripts.values()].reverse()
      const before = query.get('before_id')
      const from = before ? all.findIndex(({ id }) => id === before) + 1 : 0
      const transcripts = all.slice(from, from + Number(query.get('limit'))).map((transcript) => ({
        ...transcript,
        // UTC, without saying so.
        created: createdAt(transcript.id).toISOString().replace('Z', ''),
      }))
      return { body: { page_details: {}, transcripts } }
    },
    { matches: ({ method, path }) => method === 'GET' && path === '/v2/transcript', times: 10 },
  )
}
