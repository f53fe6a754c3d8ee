/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cfn_report.h"

#include <errno.h>

#include "base/log.h"
#include "engine/notify.h"
#include "engine/outcome.h"
#include "steps/cfn_signal.h"

/* The timeout of one attempt, with the retries of the AWS client in it. It is short, because the
 * daemon does nothing else meanwhile. */
#define ATTEMPT_MS 15000

/* The pauses between attempts. No creation policy waits longer than 12 h, but the daemon goes on
 * until it has an answer, because an attempt costs little. */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MAX_MS   60000

/* The time by which the daemon's end may be delayed to tell the stack of it. */
#define FAREWELL_MS 45000

/* Sends the signal once. Returns true if no other attempt is needed. */
static bool report_say(CfnReport *report, Boot *boot, bool ready, const Wait *wait)
{
        Error error = {};
        Wait attempt = wait_part(wait, ATTEMPT_MS);
        int r = cfn_signal_send(boot, ready, &attempt, &error);
        if (r == -EALREADY) {
                log_write(LOG_INFO, NULL, NULL, 0,
                          "no operation of the stack waits for this instance: nothing to tell it");
                log_error(LOG_DEBUG, NULL, NULL, 0, &error, "CloudFormation answered");
        } else if (r > 0) {
                log_write(LOG_INFO, NULL, NULL, 0, "the stack was told: %s",
                          ready ? "ready" : "failed");
        } else if (r < 0) {
                if (report->attempts == 0 && r != -ECANCELED) {
                        log_error(LOG_WARNING, LOG_ID_CFN_SIGNAL, NULL, 0, &error,
                                  "the stack could not be told yet");
                }
                report->attempts++;
                report->due_ms = wait_now_ms() + wait_backoff_ms(AGAIN_FIRST_MS, AGAIN_MAX_MS,
                                                                 report->attempts - 1);
                return false;
        }
        report->said = true;
        return true;
}

void cfn_report_ready(CfnReport *report)
{
        if (report->refused_since_ms) {
                *report = (CfnReport) { .said = report->said };
        }
}

void cfn_report_refused(CfnReport *report)
{
        if (!report->refused_since_ms) {
                report->refused_since_ms = wait_now_ms();
                report->due_ms = report->refused_since_ms + boot_patience_ms;
        }
}

void cfn_report_send_due(CfnReport *report, Boot *boot, int stop_fd)
{
        const Wait wait = { .deadline_ms = UINT64_MAX, .stop_fd = stop_fd };
        if (cfn_report_due_ms(report) <= wait_now_ms()) {
                bool ready = !report->refused_since_ms;
                (void) report_say(report, boot, ready, &wait); /* the result is in *report */
        }
}

uint64_t cfn_report_due_ms(const CfnReport *report)
{
        return report->said ? UINT64_MAX : report->due_ms;
}

void cfn_report_failed(CfnReport *report, Boot *boot, const Error *why, int stop_fd)
{
        const Wait forever = { .deadline_ms = UINT64_MAX, .stop_fd = stop_fd };
        const Wait wait = wait_part(&forever, FAREWELL_MS);
        if (report->said || outcome_of(why)->signal != OUTCOME_AT_ONCE) {
                return;
        }
        report->attempts = 0;
        for (;;) {
                notify_alive();
                if (report_say(report, boot, false, &wait)) {
                        return;
                }
                uint64_t now = wait_now_ms();
                if (wait_sleep(&wait, report->due_ms > now ? report->due_ms - now : 0,
                               ERROR_IGNORED) < 0) {
                        return; /* give up: the stack has its own timeout */
                }
        }
}
