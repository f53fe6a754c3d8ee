/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/wait.h"
#include "steps/boot.h"

/* The one word to the stack that launched this instance, and whether it has been said. What a
 * daemon that was started again does not know, the stack does: it counts an instance once. */
typedef struct StackWord {
        bool said;         /* or there is nobody who would hear it */
        unsigned attempts; /* that failed */
        uint64_t due_ms;   /* when the next one is */
} StackWord;

/* "Ready", tried once if that is due: a failure is logged, and is due again later. Never fails. */
void stack_say_ready(StackWord *word, Boot *boot, int stop_fd);

/* When stack_say_ready() is due; UINT64_MAX: never. */
uint64_t stack_due_ms(const StackWord *word);

/* "Failed", for what trying again by itself would not change; anything else is left to the stack's
 * own timeout. Tries for a while, and gives up. */
void stack_say_failed(StackWord *word, Boot *boot, const Error *why, int stop_fd);
