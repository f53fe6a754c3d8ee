/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/state_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/time.h"

/* Returns the time as text (RFC 3339, UTC, microseconds), or null for 0. */
static json_t *time_to_json(uint64_t us)
{
        char text[TIME_TEXT_MAX] = "";
        if (us > 0) {
                time_format_us(us, text);
        }
        return text[0] ? json_string(text) : json_null();
}

/* Returns the text as a string, or null if it is empty. Messages have bytes from outside, and may
 * be cut within a character. If a text is not UTF-8, every byte of it that is not ASCII is shown as
 * "?". */
static json_t *text_to_json(const char *text)
{
        if (isempty(text)) {
                return json_null();
        }
        json_t *json = json_string(text);
        if (json) {
                return json;
        }
        _cleanup_free_ char *copy = strdup(text);
        if (!copy) {
                return NULL;
        }
        for (char *c = copy; *c; c++) {
                if ((unsigned char) *c >= 0x80) {
                        *c = '?';
                }
        }
        return json_string(copy);
}

static json_t *number_to_json(int number)
{
        return number ? json_integer(number) : json_null();
}

static json_t *error_to_json(const Error *error)
{
        if (error->message[0] == '\0') {
                return json_null();
        }
        return json_pack(
                "{s:s, s:o, s:o, s:o, s:o, s:o}", "class", error_class_to_string(error->class),
                "message", text_to_json(error->message), "errno", number_to_json(error->error),
                "http_status", number_to_json(error->http_status), "aws_code",
                text_to_json(error->aws_code), "request_id", text_to_json(error->request_id));
}

static json_t *step_to_json(const Step *step, const StepStatus *s)
{
        return json_pack(
                "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", step->name,
                "state", step_state_to_string(s->state), "attempts", (json_int_t) s->attempts,
                "started", time_to_json(s->started_us), "finished", time_to_json(s->finished_us),
                "looked", time_to_json(s->looked_us), "waiting_for", text_to_json(s->waiting_for),
                "reason", text_to_json(s->reason), "next_retry", time_to_json(s->next_retry_us),
                "warning", text_to_json(s->warning), "error", error_to_json(&s->error));
}

int state_file_format(const StateFileHead *head, const MachineStatus *status, Buffer *ret,
                      Error *err)
{
        json_auto_t *steps = json_array();
        for (size_t i = 0; i < status->n_steps; i++) {
                if (status->steps[i].runs_here &&
                    json_array_append_new(steps,
                                          step_to_json(&status->table[i], &status->steps[i])) < 0) {
                        return error_oom(err);
                }
        }
        json_auto_t *root =
                json_pack("{s:i, s:o, s:o, s:o, s:s, s:o, s:o, s:i, s:o, s:b, s:o, s:O}", "schema",
                          STATE_FILE_SCHEMA, "instance_id", text_to_json(head->instance_id), "role",
                          text_to_json(head->role), "runtime", text_to_json(head->runtime), "phase",
                          phase_to_string(status->phase), "since", time_to_json(status->since_us),
                          "boot_id", text_to_json(head->boot_id), "pid", head->pid, "daemon",
                          number_to_json(head->daemon), "running", head->running, "looked",
                          time_to_json(machine_looked_us(status)), "steps", steps);
        _cleanup_free_ char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        if (!text || buffer_append_string(ret, text) < 0 || buffer_append_string(ret, "\n") < 0) {
                return error_oom(err);
        }
        return 0;
}

int state_file_write(const char *path, const StateFileHead *head, const MachineStatus *status,
                     Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = state_file_format(head, status, &text, err);
        return r < 0 ? r : file_write(path, text.data, text.size, 0644, err);
}

/* Reading back. Each of these functions reads one member. The first member that does not fit is
 * remembered, so that the caller can read all members as a list, without a check after each. */

typedef struct Reader {
        const json_t *object;
        const char *where; /* the step, or "" */
        Error *err;
        int result;
} Reader;

static void reader_refuse(Reader *r, const char *key)
{
        if (r->result >= 0) {
                r->result =
                        error_set(r->err, ERROR_CONFIG, EBADMSG, "%s%s\"%s\" is not as expected",
                                  r->where, *r->where ? ": " : "", key);
        }
}

/* Returns the member, or NULL if it is null or missing. */
static const json_t *reader_get(const Reader *r, const char *key)
{
        const json_t *value = json_object_get(r->object, key);
        return json_is_null(value) ? NULL : value;
}

static void state_file_read_text(Reader *r, const char *key, char *ret, size_t size)
{
        const json_t *value = reader_get(r, key);
        ret[0] = '\0';
        if (!value) {
                return;
        }
        if (!json_is_string(value) || json_string_length(value) >= size) {
                reader_refuse(r, key);
                return;
        }
        memcpy(ret, json_string_value(value), json_string_length(value) + 1);
}

static void state_file_read_number(Reader *r, const char *key, int *ret)
{
        const json_t *value = reader_get(r, key);
        *ret = 0;
        if (!value) {
                return;
        }
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > INT32_MAX) {
                reader_refuse(r, key);
                return;
        }
        *ret = (int) json_integer_value(value);
}

static void state_file_read_time(Reader *r, const char *key, uint64_t *ret)
{
        char text[TIME_TEXT_MAX];
        struct timespec time;
        state_file_read_text(r, key, text, sizeof(text));
        *ret = 0;
        if (text[0] == '\0') {
                return;
        }
        if (time_parse(text, &time) < 0) {
                reader_refuse(r, key);
                return;
        }
        *ret = (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_nsec / 1000;
}

static int parse_error(Reader *step, Error *ret)
{
        const json_t *object = reader_get(step, "error");
        *ret = (Error) {};
        if (!object) {
                return step->result;
        }
        if (!json_is_object(object)) {
                reader_refuse(step, "error");
                return step->result;
        }
        Reader r = { .object = object, .where = step->where, .err = step->err };
        char class[16];
        state_file_read_text(&r, "class", class, sizeof(class));
        state_file_read_text(&r, "message", ret->message, sizeof(ret->message));
        state_file_read_number(&r, "errno", &ret->error);
        state_file_read_number(&r, "http_status", &ret->http_status);
        state_file_read_text(&r, "aws_code", ret->aws_code, sizeof(ret->aws_code));
        state_file_read_text(&r, "request_id", ret->request_id, sizeof(ret->request_id));
        ErrorClass value = error_class_from_string(class);
        if (value < 0) {
                reader_refuse(&r, "class");
                return r.result;
        }
        ret->class = value;
        return r.result;
}

static int parse_step(const json_t *object, const Step *steps, size_t n_steps, StateFile *ret,
                      Error *err)
{
        Reader r = { .object = object, .where = "a step", .err = err };
        if (!json_is_object(object)) {
                return error_set(err, ERROR_CONFIG, EBADMSG, "a step is no object");
        }
        char name[64], state[16];
        state_file_read_text(&r, "name", name, sizeof(name));
        state_file_read_text(&r, "state", state, sizeof(state));
        int id = r.result < 0 ? -1 : step_find(steps, n_steps, name);
        if (id < 0 || ret->status.steps[id].runs_here) {
                reader_refuse(&r, "name");
                return r.result;
        }
        r.where = steps[id].name;
        StepStatus *s = &ret->status.steps[id];
        int attempts = 0;
        state_file_read_number(&r, "attempts", &attempts);
        state_file_read_time(&r, "started", &s->started_us);
        state_file_read_time(&r, "finished", &s->finished_us);
        state_file_read_time(&r, "looked", &s->looked_us);
        state_file_read_time(&r, "next_retry", &s->next_retry_us);
        state_file_read_text(&r, "waiting_for", s->waiting_for, sizeof(s->waiting_for));
        state_file_read_text(&r, "reason", s->reason, sizeof(s->reason));
        state_file_read_text(&r, "warning", s->warning, sizeof(s->warning));
        StepState value = step_state_from_string(state);
        if (value < 0) {
                reader_refuse(&r, "state");
                return r.result;
        }
        s->state = value;
        s->attempts = (unsigned) attempts;
        s->runs_here = true;
        return r.result < 0 ? r.result : parse_error(&r, &s->error);
}

static int parse_head(const json_t *root, StateFile *ret, Error *err)
{
        Reader r = { .object = root, .where = "", .err = err };
        int schema = 0;
        char phase[16];
        state_file_read_number(&r, "schema", &schema);
        if (schema != STATE_FILE_SCHEMA) {
                reader_refuse(&r, "schema");
        }
        state_file_read_text(&r, "instance_id", ret->instance_id, sizeof(ret->instance_id));
        state_file_read_text(&r, "role", ret->role, sizeof(ret->role));
        state_file_read_text(&r, "runtime", ret->runtime, sizeof(ret->runtime));
        state_file_read_text(&r, "boot_id", ret->boot_id, sizeof(ret->boot_id));
        state_file_read_number(&r, "pid", &ret->pid);
        state_file_read_number(&r, "daemon", &ret->daemon);
        ret->running = json_is_true(json_object_get(root, "running"));
        state_file_read_time(&r, "since", &ret->status.since_us);
        state_file_read_text(&r, "phase", phase, sizeof(phase));
        Phase value = phase_from_string(phase);
        if (value < 0) {
                reader_refuse(&r, "phase");
                return r.result;
        }
        ret->status.phase = value;
        return r.result;
}

int state_file_parse(const char *text, size_t n, const Step *steps, size_t n_steps, StateFile *ret,
                     Error *err)
{
        json_error_t json_error;
        json_auto_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &json_error);
        if (!root || !json_is_object(root)) {
                int line = root ? 1 : json_error.line;
                return error_set(err, ERROR_CONFIG, EBADMSG, "not JSON of an object: line %d: %s",
                                 line, root ? "" : json_error.text);
        }
        *ret = (StateFile) { .status = { .table = steps, .n_steps = n_steps } };
        int r = parse_head(root, ret, err);
        if (r < 0) {
                return r;
        }
        const json_t *list = json_object_get(root, "steps");
        if (!json_is_array(list)) {
                return error_set(err, ERROR_CONFIG, EBADMSG, "\"steps\" is not as expected");
        }
        for (size_t i = 0; i < json_array_size(list); i++) {
                r = parse_step(json_array_get(list, i), steps, n_steps, ret, err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int state_file_read(const char *path, const Step *steps, size_t n_steps, StateFile *ret, Error *err)
{
        _cleanup_buffer_ Buffer text = { .max = STATE_FILE_MAX_BYTES };
        int r = file_read(path, STATE_FILE_MAX_BYTES, &text, err);
        if (r < 0) {
                return r;
        }
        r = state_file_parse(text.data, text.size, steps, n_steps, ret, err);
        return r < 0 ? error_prefix(err, "%s", path) : 0;
}
