/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* Calls the job for 0 to n - 1, a few at once, in any order. Returns 0, or the result of the first
 * job that failed. After a failure no other job begins. */
typedef int ParallelJob(void *userdata, size_t i, Error *err);
int parallel_do(size_t n, ParallelJob *job, void *userdata, Error *err);
