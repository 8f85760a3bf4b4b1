import { video } from './inbox/video.ts'

export default [video]
