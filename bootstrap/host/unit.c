/* SPDX-License-Identifier: Apache-2.0 */
#include "host/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/effect.h"
#include "base/string.h"
#include "host/journal.h"
#include "host/unit_bus.h"

static int unit_read_text(sd_bus_message *message, char *ret, size_t size)
{
        const char *text;
        int r = sd_bus_message_read(message, "v", "s", &text);
        if (r >= 0) {
                (void) snprintf(ret, size, "%s", text); /* systemd's own text; may be cut */
        }
        return r;
}

static int read_invocation(sd_bus_message *message, uint64_t *ret, size_t size)
{
        const void *bytes;
        size_t n;
        int r = sd_bus_message_enter_container(message, 'v', "ay");
        if (r < 0) {
                return r;
        }
        r = sd_bus_message_read_array(message, 'y', &bytes, &n);
        if (r < 0) {
                return r;
        }
        if (n == size) { /* empty before the first start */
                memcpy(ret, bytes, n);
        }
        return sd_bus_message_exit_container(message);
}

static int unit_read_property(sd_bus_message *message, const char *name, UnitState *state)
{
        int flag = 0, r;
        if (streq(name, "LoadState")) {
                return unit_read_text(message, state->load, sizeof(state->load));
        }
        if (streq(name, "ActiveState")) {
                return unit_read_text(message, state->active, sizeof(state->active));
        }
        if (streq(name, "SubState")) {
                return unit_read_text(message, state->sub, sizeof(state->sub));
        }
        if (streq(name, "Result")) {
                return unit_read_text(message, state->result, sizeof(state->result));
        }
        if (streq(name, "InvocationID")) {
                return read_invocation(message, state->invocation, sizeof(state->invocation));
        }
        if (streq(name, "ActiveEnterTimestamp")) {
                return sd_bus_message_read(message, "v", "t", &state->active_since_us);
        }
        if (streq(name, "NeedDaemonReload")) {
                r = sd_bus_message_read(message, "v", "b", &flag);
                state->need_reload = flag;
                return r;
        }
        return sd_bus_message_skip(message, "v");
}

static int read_properties(sd_bus_message *message, UnitState *ret)
{
        UnitState state = {};
        const char *name;
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0) {
                return r;
        }
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(message, 's', &name);
                if (r < 0) {
                        return r;
                }
                r = unit_read_property(message, name, &state);
                if (r < 0) {
                        return r;
                }
                r = sd_bus_message_exit_container(message);
                if (r < 0) {
                        return r;
                }
        }
        if (!streq(state.active, "active")) {
                state.active_since_us = 0; /* systemd keeps the last time */
        }
        if (r == 0) {
                *ret = state;
        }
        return r;
}

/* Makes the call that asks for the properties of all interfaces of the unit's object. */
static int make_call(sd_bus *bus, const char *name, sd_bus_message **ret)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_message_ sd_bus_message *call = NULL;
        int r = sd_bus_path_encode(MANAGER_PATH "/unit", name, &path);
        if (r < 0) {
                return r;
        }
        r = sd_bus_message_new_method_call(bus, &call, MANAGER_NAME, path, PROPERTIES, "GetAll");
        if (r < 0) {
                return r;
        }
        r = sd_bus_message_append(call, "s", "");
        if (r < 0) {
                return r;
        }
        *ret = TAKE(call);
        return 0;
}

/* Reads the unit's state. A request for properties makes the manager load the unit. */
static int unit_look_at(sd_bus *bus, const char *name, const Wait *wait, UnitState *ret, Error *err)
{
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        int r = make_call(bus, name, &call);
        if (r < 0) {
                return error_errno(err, r, "GetAll");
        }
        r = unit_bus_call(bus, call, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        r = read_properties(reply, ret);
        return r < 0 ? error_errno(err, r, "properties of a unit") : 0;
}

int unit_look(const char *name, const Wait *wait, UnitState *ret, Error *err)
{
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = unit_bus_open(&bus, err);
        if (r >= 0) {
                r = unit_look_at(bus, name, wait, ret, err);
        }
        if (r < 0) {
                (void) error_prefix(err, "look at %s", name);
        }
        return r;
}

/* A job to wait for. The reply to the call comes before the job's end, because the manager runs
 * jobs later. */
typedef struct Job {
        const char *path; /* NULL: not known yet */
        char result[32];  /* empty: not ended yet */
} Job;

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *e)
{
        (void) e;
        Job *job = userdata;
        uint32_t id;
        const char *path, *unit, *result;
        int r = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);
        if (r >= 0 && streq_ptr(path, job->path)) {
                (void) snprintf(job->result, sizeof(job->result), "%s", result);
        }
        return r < 0 ? r : 0;
}

static int job_ended(sd_bus *bus, const char *name, const Job *job, const Wait *wait, Error *err)
{
        if (streq(job->result, "done")) {
                return 0;
        }
        UnitState state = {};
        int r = unit_look_at(bus, name, wait, &state, err);
        if (r < 0) {
                return r;
        }
        (void) error_set(err, ERROR_RETRY, EIO,
                         "job ended with \"%s\"; unit is %s (%s), result "
                         "\"%s\"",
                         job->result, state.active, state.sub, state.result);
        return journal_explain(name, err);
}

static int job_run(const char *method, const char *name, const Wait *wait, Error *err)
{
        Job job = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r = unit_bus_open(&bus, err);
        if (r < 0) {
                return r;
        }
        r = unit_bus_subscribe(bus, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", on_job_removed,
                               &job, wait, err);
        if (r < 0) {
                return r;
        }
        r = unit_bus_call_manager(bus, method, (const char *[]) { name, "replace" }, 2, wait,
                                  &reply, err);
        if (r < 0) {
                return r;
        }
        r = sd_bus_message_read_basic(reply, 'o', &job.path);
        if (r < 0) {
                return error_errno(err, r, "reply of systemd");
        }
        while (!job.result[0]) {
                r = unit_bus_turn(bus, wait, err);
                if (r <= 0) {
                        return r < 0 ? r
                                     : error_set(err, ERROR_RETRY, ETIMEDOUT,
                                                 "timed out waiting for the job to end");
                }
        }
        return job_ended(bus, name, &job, wait, err);
}

static int job(const char *verb, const char *method, const char *name, const Wait *wait, Error *err)
{
        char what[300];
        (void) snprintf(what, sizeof(what), "%s %s", verb, name); /* unit names: 255 at most */
        Effect effect = effect_before("bus", what);
        int r = job_run(method, name, wait, err);
        effect_after(&effect, r, NULL);
        if (r < 0) {
                (void) error_prefix(err, "%s", what);
        }
        return r;
}

int unit_start(const char *name, const Wait *wait, Error *err)
{
        return job("start", "StartUnit", name, wait, err);
}

int unit_restart(const char *name, const Wait *wait, Error *err)
{
        return job("restart", "RestartUnit", name, wait, err);
}

int unit_stop(const char *name, const Wait *wait, Error *err)
{
        return job("stop", "StopUnit", name, wait, err);
}

static int manager_do(const char *method, const char *const *arguments, size_t n_arguments,
                      const Wait *wait, Error *err)
{
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r = unit_bus_open(&bus, err);
        if (r < 0) {
                return r;
        }
        Effect effect = effect_before("bus", method);
        r = unit_bus_call_manager(bus, method, arguments, n_arguments, wait, &reply, err);
        effect_after(&effect, r, NULL);
        return r;
}

int unit_reset_failed(const char *name, const Wait *wait, Error *err)
{
        Error failure = {};
        int r = manager_do("ResetFailedUnit", &name, 1, wait, &failure);
        if (r < 0 && failure.class != ERROR_CONFIG) { /* not loaded: nothing to forget */
                *err = failure;
                (void) error_prefix(err, "reset %s", name);
                return r;
        }
        return 0;
}

static int unit_on_change(sd_bus_message *message, void *userdata, sd_bus_error *e)
{
        (void) message;
        (void) e;
        *(bool *) userdata = true;
        return 0;
}

static bool state_differs(const UnitState *a, const UnitState *b)
{
        return !streq(a->load, b->load) || !streq(a->active, b->active) || !streq(a->sub, b->sub) ||
               !streq(a->result, b->result) ||
               memcmp(a->invocation, b->invocation, sizeof(a->invocation)) != 0;
}

static int wait_change(const char *name, const UnitState *seen, const Wait *wait,
                       uint64_t timeout_ms, Error *err)
{
        bool changed = true; /* look before the first signal: it may have been sent already */
        Wait part = wait_part(wait, timeout_ms);
        _cleanup_free_ char *path = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = sd_bus_path_encode(MANAGER_PATH "/unit", name, &path);
        if (r < 0) {
                return error_errno(err, r, "path of a unit");
        }
        r = unit_bus_open(&bus, err);
        if (r < 0) {
                return r;
        }
        r = unit_bus_subscribe(bus, path, PROPERTIES, "PropertiesChanged", unit_on_change, &changed,
                               wait, err);
        while (r >= 0) {
                if (changed) {
                        UnitState state;
                        changed = false;
                        r = unit_look_at(bus, name, wait, &state, err);
                        if (r < 0 || state_differs(&state, seen)) {
                                return r < 0 ? r : 1;
                        }
                }
                r = unit_bus_turn(bus, &part, err);
                if (r == 0) {
                        return part.deadline_ms < wait->deadline_ms ? 0 : wait_check(wait, err);
                }
        }
        return r;
}

int unit_wait_change(const char *name, const UnitState *seen, const Wait *wait, uint64_t timeout_ms,
                     Error *err)
{
        int r = wait_change(name, seen, wait, timeout_ms, err);
        if (r < 0) {
                (void) error_prefix(err, "wait for %s", name);
        }
        return r;
}
