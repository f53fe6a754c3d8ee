/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine/machine.h"

#define TEXT_DURATION_MAX 24
#define TEXT_STEP_MAX     1600

uint64_t text_now_us(void); /* CLOCK_REALTIME, as StepStatus has it */

/* "12 ms", "3.4 s", "2 min 05 s", "3 h 07 min". */
void text_duration(uint64_t us, char ret[TEXT_DURATION_MAX]);

/* How long the step took, or has been at it; "" before it began. */
void text_step_duration(const StepStatus *step, uint64_t now_us, char ret[TEXT_DURATION_MAX]);

/* What there is to say of the step beyond its state, in one line: what it waits for, what failed
 * and when it tries again, its warning. "" where there is nothing. */
void text_step(const StepStatus *step, uint64_t now_us, char ret[TEXT_STEP_MAX]);
