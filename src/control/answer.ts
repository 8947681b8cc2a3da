// Answers of the control API, and which HTTP status an error is.
import { ExitCode, PosthasteError } from '../base/error.ts';
import type { ErrorView } from './views.ts';

/** What a route gives. A stream is sent as it comes, with what back-pressure the client makes. */
export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: unknown; readonly location?: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'stream'; readonly contentType: string; readonly body: AsyncIterable<string> };

/** A refusal that is about HTTP and not about mail. */
export class HttpRefusal extends PosthasteError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    detail: { readonly code: string; readonly message: string; readonly hint: string },
    headers: Readonly<Record<string, string>> = {},
  ) {
    super({ ...detail, exitCode: status === 401 || status === 403 ? ExitCode.noPermission : ExitCode.usage });
    this.status = status;
    this.headers = headers;
  }
}

/** By what went wrong; where a command would end with another code than the class tells, the error's own code decides. */
const statusByCode: Readonly<Record<string, number>> = {
  ERR_CAMPAIGN_UNKNOWN: 404,
  ERR_RELAY_UNKNOWN: 404,
  ERR_SUBMISSION_UNKNOWN: 404,
  ERR_ROWS_GONE: 410,
  ERR_CAMPAIGN_CHANGED: 409,
  ERR_CAMPAIGN_STATE: 409,
  ERR_SUBMISSION_INCOMPLETE: 409,
  ERR_CONFIG_INVALID: 422,
  ERR_STATE_FULL: 507,
};

const statusByExitCode: Readonly<Record<number, number>> = {
  [ExitCode.usage]: 400,
  [ExitCode.dataError]: 422,
  [ExitCode.noInput]: 422,
  [ExitCode.unavailable]: 503,
  [ExitCode.ioError]: 503,
  [ExitCode.tempFail]: 503,
  [ExitCode.noPermission]: 403,
  [ExitCode.config]: 422,
};

/** What a client is told of an error. Of a bug it is told that there is one, and no more. */
export function refusalOf(error: unknown): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorView;
} {
  if (!(error instanceof PosthasteError) || error.exitCode === ExitCode.software) return bug;
  const { code, message, hint, exitCode } = error;
  const known = Object.hasOwn(statusByCode, code) ? statusByCode[code] : undefined;
  const status = error instanceof HttpRefusal ? error.status : (known ?? statusByExitCode[exitCode] ?? 500);
  const headers = error instanceof HttpRefusal ? error.headers : {};
  return { status, headers, body: { error: { code, message, hint, exitCode } } };
}

const bug = {
  status: 500,
  headers: {},
  body: {
    error: {
      code: 'ERR_INTERNAL',
      message: 'the daemon failed to answer',
      hint: 'this is a bug of Posthaste; its log says more',
      exitCode: ExitCode.software,
    },
  },
} as const;
