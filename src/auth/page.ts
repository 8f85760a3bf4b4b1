/** Which part of a list: all of it where nothing is said. */
export interface PageOptions {
  /** At most so many. */
  limit?: number | undefined
  /** What comes behind this one: an e-mail address of users, the id of everything else. */
  after?: string | undefined
}
