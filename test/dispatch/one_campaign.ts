// A dispatcher with one campaign and one relay, as `send` has it.
import { Dispatcher, type DispatchLedger, type DispatchOptions } from '../../src/dispatch/dispatcher.ts';
import type { DispatchCampaign, DispatchEnd } from '../../src/dispatch/campaign_desk.ts';
import type { BatchRunner } from '../../src/dispatch/hands.ts';
import type { DispatchJournals } from '../../src/dispatch/settling.ts';

type OneOptions = Omit<
  DispatchOptions,
  'relays' | 'slowDown' | 'isLimitOfRelay' | 'isPatient' | 'tellsRecipients'
> &
  Pick<DispatchCampaign, 'time' | 'retry' | 'inDoubt' | 'guard'> & { readonly campaignId: number };

export function oneCampaign(
  { campaignId: id, ...options }: OneOptions,
  ledger: DispatchLedger,
  runner: BatchRunner,
  journals: DispatchJournals,
) {
  const { time, retry, inDoubt, guard } = options;
  const dispatcher = new Dispatcher(
    {
      ...options,
      relays: [{ name: 'primary', maxSessions: 10 }],
      slowDown: () => {},
      isLimitOfRelay: () => false,
      isPatient: false,
      tellsRecipients: false,
    },
    ledger,
    runner,
    journals,
  );
  return {
    get inHand() {
      return dispatcher.inHand;
    },
    waitsUntil: () => dispatcher.waitsUntil(id),
    stop: () => dispatcher.stop(),
    look: () => dispatcher.rouse(),
    /** Sends what is stored, to the end; then the dispatcher is stopped, too. */
    run: async (): Promise<DispatchEnd> => {
      const over = dispatcher.add({
        id,
        name: 'c',
        relays: [{ name: 'primary', weight: 1, rank: 0 }],
        weight: 1,
        time,
        retry,
        inDoubt,
        guard,
        frame: (_lane, relay) => ({
          relay,
          limits: [],
          slots: [],
          bytes: [],
          weight: 1,
          mostSenderRefusals: Infinity,
          planKey: '1',
          plan: new SharedArrayBuffer(0),
        }),
        ended: () => {},
      });
      dispatcher.notifyListComplete(id);
      const running = dispatcher.run();
      // Both end with the same error.
      running.catch(() => {});
      const end = await over;
      dispatcher.stop();
      await running;
      return end;
    },
  };
}
