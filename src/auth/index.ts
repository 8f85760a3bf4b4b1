/** What the layers above use of people and keys. Each function takes `(await platform.ready()).auth` first. */
export { parseEmail, parsePassword } from './account-text.ts'
export {
  type ApiKeyInfo,
  createApiKey,
  findApiKey,
  type KeyFilter,
  listApiKeys,
  type NewApiKey,
  revokeApiKey,
} from './api-keys.ts'
export {
  csrfTokenOf,
  getTenantContext,
  principalOf,
  requireAuth,
  type TenantContext,
} from './authenticate.ts'
export { checkSameSite, csrfHeader } from './csrf.ts'
export type { AuthDeps } from './deps.ts'
export {
  type Acceptance,
  acceptInvitation,
  createInvitation,
  type Invitation,
  listInvitations,
  revokeInvitation,
} from './invitations.ts'
export { type Login, type LoginRequest, login, logout } from './login.ts'
export {
  addMember,
  changeMember,
  getUserTenants,
  type NewMembership,
  removeMember,
  type TenantAccess,
  type UserTenant,
  validateTenantAccess,
} from './memberships.ts'
export type { PageOptions } from './page.ts'
export {
  can,
  type Permission,
  permissions,
  requirePermission,
  type TenantRole,
  tenantRoles,
  tenantsWhere,
} from './permissions.ts'
export type { Actor, KeyPrincipal, Membership, Principal, UserPrincipal } from './principal.ts'
export {
  listSessions,
  revokeAllSessions,
  revokeSession,
  type SessionInfo,
  switchTenant,
} from './sessions.ts'
export {
  changeOwnPassword,
  confirmAddress,
  createUser,
  disableUser,
  enableUser,
  findUserId,
  listUsers,
  type NewUser,
  setPassword,
  type User,
} from './users.ts'
