/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* Fills ret with n bytes (at most 256) from the kernel's generator, fit for keys. ERROR_RETRY where
 * the kernel gives none. https://man7.org/linux/man-pages/man2/getrandom.2.html */
int random_bytes(void *ret, size_t n, Error *err);
