/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/wait.h"
#include "steps/boot.h"

/* The one word to the stack that launched this instance, and whether it has been said. It is
 * "ready", or "failed" once what may pass has not passed for boot_patience_ms. What a daemon that
 * was started again does not know, the stack does: it counts an instance once. */
typedef struct CfnReport {
        bool said;                 /* or there is nobody who would hear it */
        uint64_t refused_since_ms; /* 0: not; else the word is "failed" */
        unsigned attempts;         /* that failed */
        uint64_t due_ms;           /* when the next one is */
} CfnReport;

/* The word is "ready" from now on. */
void cfn_report_ready(CfnReport *report);

/* A run of a machine that was never ready ended with what may pass: the word is "failed", and is
 * due boot_patience_ms after the first such run. */
void cfn_report_refused(CfnReport *report);

/* Says the word once if it is due: a failure is logged, and is due again later. Never fails. */
void cfn_report_send_due(CfnReport *report, Boot *boot, int stop_fd);

/* When cfn_report_send_due() is due; UINT64_MAX: never. */
uint64_t cfn_report_due_ms(const CfnReport *report);

/* Says "failed" where the table of outcomes has the stack hear of *why at once; anything else is
 * left to the stack's own timeout. Tries for a while, and gives up. */
void cfn_report_failed(CfnReport *report, Boot *boot, const Error *why, int stop_fd);
