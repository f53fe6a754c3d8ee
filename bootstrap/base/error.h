/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* What the engine may do about a failure follows from its class, and from nothing else. */
typedef enum ErrorClass {
        ERROR_FATAL,  /* a bug, or nothing that waiting or editing a file would change */
        ERROR_RETRY,  /* timeouts, 5xx, throttling, EBUSY: the same call may work later */
        ERROR_CONFIG, /* configuration or image is wrong: name file, line, key; stop */
        ERROR_DENIED, /* IAM or EPERM: name the action and the resource */
        ERROR_UNSAFE, /* going on could destroy data or make a second master: touch nothing more */
        _ERROR_CLASS_MAX,
        _ERROR_CLASS_INVALID = -EINVAL,
} ErrorClass;

/* The place where a failure was found out. AWS's answer (IMDS's too) may be another answer in a
 * minute, though nobody changes a file of this machine: IAM lags, roles appear late. */
typedef enum ErrorSource {
        ERROR_HERE,
        ERROR_FROM_AWS,
        _ERROR_SOURCE_MAX,
} ErrorSource;

#define ERROR_MESSAGE_MAX    1024
#define ERROR_CODE_MAX       64
#define ERROR_REQUEST_ID_MAX 96

/* A failure, told once: by value, without allocation, so that it can be copied between threads and
 * reported when memory is short. All zero means "no error". */
typedef struct Error {
        ErrorClass class;
        ErrorSource source;
        int error;       /* positive errno, 0 if none applies */
        int http_status; /* 0 if none */
        bool bare;       /* a deadline passed, and the message does not say of what */
        char aws_code[ERROR_CODE_MAX];
        char request_id[ERROR_REQUEST_ID_MAX];
        char message[ERROR_MESSAGE_MAX];
} Error;

/* Given by a caller who needs to know no more than that it failed. No function takes NULL for an
 * Error. */
#define ERROR_IGNORED (&(Error) {})

/* All three fill *err and return a negative errno (-error, or -EIO where error is 0), so that
 * "return error_set(...)" reads well. Long messages are cut at their end. */
int error_set(Error *err, ErrorClass class, int error, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* As error_set(), class chosen by error_class_from_errno() and ": strerror" appended. Takes
 * positive or negative errno values. */
int error_errno(Error *err, int error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Out of memory: ERROR_RETRY, without allocating. */
int error_oom(Error *err);

/* Marks *err as an answer of AWS; returns r, so that "return
 * error_from_aws(err, error_set(err, ...))" reads well. */
int error_from_aws(Error *err, int r);

/* Puts "context: " in front of the message, keeping everything else; returns -err->error again. */
int error_prefix(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds to the end of the message; otherwise as error_prefix(). */
int error_suffix(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one table from errno to class; errno positive or negative. */
ErrorClass error_class_from_errno(int error);

const char *error_class_to_string(ErrorClass class);
ErrorClass error_class_from_string(const char *s); /* _ERROR_CLASS_INVALID if unknown */
