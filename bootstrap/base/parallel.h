/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* Does the job for 0 to n - 1, a few at once, in any order. Returns 0, or the first failure, after
 * which no other begins. */
typedef int ParallelJob(void *userdata, size_t i, Error *err);
int parallel_do(size_t n, ParallelJob *job, void *userdata, Error *err);
