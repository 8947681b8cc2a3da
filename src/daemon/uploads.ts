// Uploads that are under way or were cut off: a submission with one of them must not become a campaign.
import { ExitCode, PosthasteError } from '../base/error.ts';

/**
 * What was cut off is thrown away. Yet a submission that lacks its list could still be one whose campaign names a list, or
 * that goes on without one: so the client must send the file again, or abandon the submission.
 */
export class Uploads {
  /** By submission: its files that are not whole, and how many uploads of each are under way. */
  readonly #files = new Map<string, Map<string, number>>();

  /** Runs an upload. If it fails, its file counts as cut off until it comes whole. */
  async during(id: string, file: string, upload: () => Promise<void>): Promise<void> {
    const files = this.#files.get(id) ?? new Map<string, number>();
    this.#files.set(id, files);
    files.set(file, (files.get(file) ?? 0) + 1);
    try {
      await upload();
    } catch (error) {
      files.set(file, (files.get(file) ?? 1) - 1);
      throw error;
    }
    const left = (files.get(file) ?? 1) - 1;
    if (left > 0) files.set(file, left);
    else files.delete(file);
    if (files.size === 0) this.forget(id);
  }

  /** Throws ERR_SUBMISSION_INCOMPLETE (75) where a file is not whole. */
  check(id: string): void {
    const files = this.#files.get(id);
    if (files === undefined) return;
    const names = [...files].map(([file, left]) => `${file} ${left > 0 ? 'is on its way' : 'was cut off'}`);
    throw new PosthasteError({
      code: 'ERR_SUBMISSION_INCOMPLETE',
      message: `the submission is not whole: ${names.slice(0, 5).join(', ')}`,
      hint: 'wait for it or send it again, or abandon the submission',
      exitCode: ExitCode.tempFail,
    });
  }

  /** The submission is gone. */
  forget(id: string): void {
    this.#files.delete(id);
  }
}
