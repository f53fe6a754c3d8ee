/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/string.h"

static const char class_names[_ERROR_CLASS_MAX][7] = {
        [ERROR_FATAL] = "fatal",   [ERROR_RETRY] = "retry",   [ERROR_CONFIG] = "config",
        [ERROR_DENIED] = "denied", [ERROR_UNSAFE] = "unsafe",
};

static const struct {
        int error;
        ErrorClass class;
} errno_classes[] = {
        { EAGAIN, ERROR_RETRY },       { EINTR, ERROR_RETRY },        { EBUSY, ERROR_RETRY },
        { ETIMEDOUT, ERROR_RETRY },    { ETIME, ERROR_RETRY },        { ECANCELED, ERROR_RETRY },
        { ECONNREFUSED, ERROR_RETRY }, { ECONNRESET, ERROR_RETRY },   { ECONNABORTED, ERROR_RETRY },
        { ENETUNREACH, ERROR_RETRY },  { EHOSTUNREACH, ERROR_RETRY }, { ENETDOWN, ERROR_RETRY },
        { EHOSTDOWN, ERROR_RETRY },    { ENOTCONN, ERROR_RETRY },     { EPIPE, ERROR_RETRY },
        { EIO, ERROR_RETRY },          { ENXIO, ERROR_RETRY },        { ENODEV, ERROR_RETRY },
        { ENOMEM, ERROR_RETRY },       { ENOBUFS, ERROR_RETRY },      { EMFILE, ERROR_RETRY },
        { ENFILE, ERROR_RETRY },       { ENOSPC, ERROR_RETRY },       { ESTALE, ERROR_RETRY },
        { EPERM, ERROR_DENIED },       { EACCES, ERROR_DENIED },      { EROFS, ERROR_DENIED },
};

ErrorClass error_class_from_errno(int error)
{
        for (size_t i = 0; i < sizeof(errno_classes) / sizeof(errno_classes[0]); i++) {
                if (errno_classes[i].error == abs(error)) {
                        return errno_classes[i].class;
                }
        }
        return ERROR_FATAL;
}

const char *error_class_to_string(ErrorClass class)
{
        return class >= 0 && class < _ERROR_CLASS_MAX ? class_names[class] : "invalid";
}

ErrorClass error_class_from_string(const char *s)
{
        for (ErrorClass c = 0; s && c < _ERROR_CLASS_MAX; c++) {
                if (streq(class_names[c], s)) {
                        return c;
                }
        }
        return _ERROR_CLASS_INVALID;
}

static int __attribute__((format(printf, 4, 0)))
error_fill(Error *err, ErrorClass class, int error, const char *format, va_list ap)
{
        error = abs(error);
        *err = (Error) { .class = class, .error = error };
        (void) vsnprintf(err->message, sizeof(err->message), format, ap); /* cut is fine */
        return error ? -error : -EIO;
}

int error_set(Error *err, ErrorClass class, int error, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        int r = error_fill(err, class, error, format, ap);
        va_end(ap);
        return r;
}

int error_errno(Error *err, int error, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        int r = error_fill(err, error_class_from_errno(error), error, format, ap);
        va_end(ap);
        char text[128];
        size_t used = strlen(err->message);
        (void) snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                        strerror_r(abs(error), text, sizeof(text)));
        return r;
}

int error_oom(Error *err)
{
        return error_set(err, ERROR_RETRY, ENOMEM, "out of memory");
}

int error_from_aws(Error *err, int r)
{
        err->source = ERROR_FROM_AWS;
        return r;
}

int error_prefix(Error *err, const char *format, ...)
{
        char text[ERROR_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n >= 0 && (size_t) n < sizeof(text)) {
                (void) snprintf(text + n, sizeof(text) - (size_t) n, ": %s", err->message);
                (void) snprintf(err->message, sizeof(err->message), "%s", text);
        }
        err->unexplained = false;
        return err->error ? -err->error : -EIO;
}

int error_suffix(Error *err, const char *format, ...)
{
        size_t used = strlen(err->message);
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(err->message + used, sizeof(err->message) - used, format, ap);
        va_end(ap);
        err->unexplained = false;
        return err->error ? -err->error : -EIO;
}
