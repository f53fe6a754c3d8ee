/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* The class and the source of a failure decide what follows from it (engine/outcome.c). Its errno
 * and its message do not. */
typedef enum ErrorClass {
        ERROR_FATAL,  /* a bug, or nothing that waiting or editing a file would change */
        ERROR_RETRY,  /* timeouts, 5xx, throttling, EBUSY: the same call may work later */
        ERROR_CONFIG, /* configuration or image is wrong: name file, line, key; stop */
        ERROR_DENIED, /* IAM or EPERM: name the action and the resource */
        ERROR_UNSAFE, /* going on could destroy data or make a second master: touch nothing more */
        _ERROR_CLASS_MAX,
        _ERROR_CLASS_INVALID = -EINVAL,
} ErrorClass;

/* Says where a failure was found. AWS (and IMDS) may give another answer a minute later, without
 * any change on this machine: IAM lags, roles appear late. */
typedef enum ErrorSource {
        ERROR_HERE,
        ERROR_FROM_AWS,
        _ERROR_SOURCE_MAX,
} ErrorSource;

#define ERROR_MESSAGE_MAX    1024
#define ERROR_CODE_MAX       64
#define ERROR_REQUEST_ID_MAX 96

/* Describes a failure. An Error is a plain value and holds no allocated memory, so it can be copied
 * between threads, and reported when memory is short. All zero means "no error". */
typedef struct Error {
        ErrorClass class;
        ErrorSource source;
        int error;        /* positive errno, 0 if none applies */
        int http_status;  /* 0 if none */
        bool unexplained; /* a deadline passed, and the message does not say what timed out */
        char aws_code[ERROR_CODE_MAX];
        char request_id[ERROR_REQUEST_ID_MAX];
        char message[ERROR_MESSAGE_MAX];
} Error;

/* Passed by a caller that only needs to know that the call failed. No function takes NULL for an
 * Error. */
#define ERROR_IGNORED (&(Error) {})

/* error_set(), error_errno() and error_oom() fill *err and return a negative errno (-error, or -EIO
 * if error is 0), so that "return error_set(...)" reads well. Long messages are cut at their
 * end. */
int error_set(Error *err, ErrorClass class, int error, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Does what error_set() does, with the class from error_class_from_errno(), and appends ": " and
 * the text of strerror(). `error` may be positive or negative. */
int error_errno(Error *err, int error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Reports that memory is out, as ERROR_RETRY, without allocating. */
int error_oom(Error *err);

/* Marks *err as an answer of AWS; returns r, so that "return
 * error_from_aws(err, error_set(err, ...))" reads well. */
int error_from_aws(Error *err, int r);

/* Puts "context: " in front of the message. Of the rest, only `unexplained` changes: it becomes
 * false. Returns the negative errno again. */
int error_prefix(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends to the message; otherwise does what error_prefix() does. */
int error_suffix(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the class of an errno value, positive or negative. This is the only table of them. */
ErrorClass error_class_from_errno(int error);

const char *error_class_to_string(ErrorClass class);
ErrorClass error_class_from_string(const char *s); /* _ERROR_CLASS_INVALID if unknown */
