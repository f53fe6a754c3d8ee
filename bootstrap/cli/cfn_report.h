/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/wait.h"
#include "steps/boot.h"

/* The one signal to the stack that launched this instance, and whether it was sent. The signal is
 * "ready", or "failed" once a failure that may pass has lasted for boot_patience_ms. A daemon that
 * was restarted does not know whether the signal was sent. It may send the signal again, because
 * the stack counts each instance once. */
typedef struct CfnReport {
        bool said;                 /* or no stack waits for it */
        uint64_t refused_since_ms; /* 0: not; else the signal is "failed" */
        unsigned attempts;         /* failed ones */
        uint64_t due_ms;           /* when the next attempt is due */
} CfnReport;

/* Makes the signal "ready" from now on. */
void cfn_report_ready(CfnReport *report);

/* Called when a run of a machine that was never ready ended with a failure that may pass. Makes the
 * signal "failed", due boot_patience_ms after the first such run. */
void cfn_report_refused(CfnReport *report);

/* Sends the signal once if it is due. After a failure, which is logged, the signal is due again
 * later. Never fails. */
void cfn_report_send_due(CfnReport *report, Boot *boot, int stop_fd);

/* Returns when cfn_report_send_due() is due; UINT64_MAX: never. */
uint64_t cfn_report_due_ms(const CfnReport *report);

/* Sends "failed" if the table of outcomes says that the stack hears of *why at once. Other failures
 * are left to the stack's own timeout. Tries for a while, then gives up. */
void cfn_report_failed(CfnReport *report, Boot *boot, const Error *why, int stop_fd);
