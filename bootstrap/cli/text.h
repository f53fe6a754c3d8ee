/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine/machine.h"

#define TEXT_DURATION_MAX 24
#define TEXT_STEP_MAX     1600

uint64_t text_now_us(void); /* CLOCK_REALTIME, as StepStatus has it */

/* Writes a duration: "12 ms", "3.4 s", "2 min 05 s", "3 h 07 min". */
void text_duration(uint64_t us, char ret[TEXT_DURATION_MAX]);

/* Writes how long the step took, or how long it has been running; "" before it began, and while it
 * waits. */
void text_step_duration(const StepStatus *step, uint64_t now_us, char ret[TEXT_DURATION_MAX]);

/* Writes in one line what the state of the step does not tell: what it waits for, what failed and
 * when it is retried, its warning. "" if there is nothing. */
void text_step(const StepStatus *step, uint64_t now_us, char ret[TEXT_STEP_MAX]);
