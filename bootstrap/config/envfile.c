/* SPDX-License-Identifier: Apache-2.0 */
#include "config/envfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/string.h"

/* The position of the parser. Every refusal names a position. */
typedef struct Parser {
        const char *name;
        const char *at, *end;
        unsigned line, column;
        EnvFile *file;
        Error *err;
} Parser;

static int peek(const Parser *p)
{
        return p->at < p->end ? (unsigned char) *p->at : EOF;
}

static int peek_second(const Parser *p)
{
        return p->end - p->at > 1 ? (unsigned char) p->at[1] : EOF;
}

static int next(Parser *p)
{
        int c = peek(p);
        if (c == EOF) {
                return EOF;
        }
        p->at++;
        if (c == '\n') {
                p->line++;
                p->column = 1;
        } else {
                p->column++;
        }
        return c;
}

static int envfile_refuse(Parser *p, const char *what)
{
        return error_set(p->err, ERROR_CONFIG, EINVAL, "%s:%u:%u: %s", p->name, p->line, p->column,
                         what);
}

static bool is_name_start(int c)
{
        return c == '_' || (c < 128 && isalpha(c));
}

static bool is_name(int c)
{
        return is_name_start(c) || (c >= '0' && c <= '9');
}

/* Returns true if the text begins with U+FEFF in UTF-8. Some editors begin a file with it. */
static bool starts_with_mark(const char *at, const char *end)
{
        return end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0;
}

/* Reads a shell name at the parser's position and appends it to *ret. */
static int parse_name(Parser *p, Buffer *ret)
{
        int c = peek(p);
        if (c >= 128) { /* an editor may show nothing there, or a blank */
                return error_set(p->err, ERROR_CONFIG, EINVAL,
                                 "%s:%u:%u: expected a name: letters, digits and _, not the byte "
                                 "0x%02X%s",
                                 p->name, p->line, p->column, (unsigned) c,
                                 starts_with_mark(p->at, p->end) ? " of a byte order mark" : "");
        }
        if (!is_name_start(c)) {
                return envfile_refuse(p, "expected a name: letters, digits and _");
        }
        do {
                if (buffer_append(ret, &(char) { (char) next(p) }, 1) < 0) {
                        return error_oom(p->err);
                }
        } while (is_name(peek(p)));
        return 0;
}

/* Reads $NAME or ${NAME} and appends the value of this key to *ret. The parser is at the dollar. */
static int parse_expansion(Parser *p, Buffer *ret)
{
        Parser start = *p;
        (void) next(p);
        bool braces = peek(p) == '{';
        if (peek(p) == '(') {
                return envfile_refuse(&start,
                                      "command substitution $(...): this file is never executed");
        }
        if (braces) {
                (void) next(p);
        }
        if (!is_name_start(peek(p))) {
                return envfile_refuse(&start, "only $NAME and ${NAME} are expanded; "
                                              "write a literal $ in single quotes");
        }
        _cleanup_buffer_ Buffer name = {};
        int r = parse_name(p, &name);
        if (r < 0) {
                return r;
        }
        if (braces && next(p) != '}') {
                return envfile_refuse(&start, "only ${NAME} is expanded, without operators");
        }
        const EnvEntry *entry = envfile_get(p->file, name.data);
        if (!entry) {
                return error_set(p->err, ERROR_CONFIG, EINVAL,
                                 "%s:%u:%u: $%s is not set earlier in this file", p->name,
                                 start.line, start.column, name.data);
        }
        return buffer_append_string(ret, entry->value) < 0 ? error_oom(p->err) : 0;
}

static int parse_single_quotes(Parser *p, Buffer *ret)
{
        Parser start = *p;
        (void) next(p);
        for (int c = next(p); c != '\''; c = next(p)) {
                if (c == EOF) {
                        return envfile_refuse(&start, "this ' is never closed");
                }
                if (buffer_append(ret, &(char) { (char) c }, 1) < 0) {
                        return error_oom(p->err);
                }
        }
        return 0;
}

static int parse_double_quotes(Parser *p, Buffer *ret)
{
        Parser start = *p;
        (void) next(p);
        for (;;) {
                int c = peek(p);
                if (c == EOF) {
                        return envfile_refuse(&start, "this \" is never closed");
                }
                if (c == '`') {
                        return envfile_refuse(
                                p, "command substitution `...`: this file is never executed");
                }
                if (c == '$') {
                        int r = parse_expansion(p, ret);
                        if (r < 0) {
                                return r;
                        }
                        continue;
                }
                (void) next(p);
                if (c == '"') {
                        return 0;
                }
                if (c == '\\' && peek(p) != EOF && strchr("$`\"\\\n", peek(p))) {
                        c = next(p);
                        if (c == '\n') {
                                continue; /* a continued line */
                        }
                }
                if (buffer_append(ret, &(char) { (char) c }, 1) < 0) {
                        return error_oom(p->err);
                }
        }
}

/* Returns what a shell would do with this character outside quotes, or NULL if a shell takes it
 * literally. */
static const char *shell_meaning(int c)
{
        switch (c) {
        case '`':
                return "command substitution `...`: this file is never executed";
        case ';':
        case '&':
        case '|':
                return "a shell would run another command here; quote the value";
        case '<':
        case '>':
                return "a shell would redirect here; quote the value";
        case '(':
        case ')':
                return "a shell would start a subshell or an array here; quote the value";
        case '*':
        case '?':
        case '[':
                return "a shell may expand this as a file name pattern; quote the value";
        case '\r':
                return "carriage return: the file has DOS line ends";
        default:
                return NULL;
        }
}

static int parse_unquoted(Parser *p, Buffer *ret)
{
        int c = peek(p);
        const char *meaning = shell_meaning(c);
        if (meaning) {
                return envfile_refuse(p, meaning);
        }
        (void) next(p);
        if (c == '\\') {
                c = next(p);
                if (c == EOF) {
                        return envfile_refuse(p, "a backslash at the end of the file");
                }
                if (c == '\n') {
                        return 0;
                }
        }
        return buffer_append(ret, &(char) { (char) c }, 1) < 0 ? error_oom(p->err) : 0;
}

static int parse_value(Parser *p, Buffer *ret)
{
        if (peek(p) == '~') {
                return envfile_refuse(p, "a shell would expand ~; write the whole path");
        }
        for (;;) {
                int r;
                switch (peek(p)) {
                case EOF:
                case ' ':
                case '\t':
                case '\n':
                        return buffer_append(ret, "", 0) < 0 ? error_oom(p->err) : 0;
                case '\'':
                        r = parse_single_quotes(p, ret);
                        break;
                case '"':
                        r = parse_double_quotes(p, ret);
                        break;
                case '$':
                        r = parse_expansion(p, ret);
                        break;
                default:
                        r = parse_unquoted(p, ret);
                }
                if (r < 0) {
                        return r;
                }
        }
}

static EnvEntry *envfile_find(const EnvFile *file, const char *key)
{
        FOREACH_ARRAY(e, file->entries, file->n) {
                if (streq(e->key, key)) {
                        return e;
                }
        }
        return NULL;
}

/* Stores an assignment and takes over both texts. A key that is there already gets the new
 * value. */
static int store(Parser *p, Buffer *key, Buffer *value, unsigned line)
{
        _cleanup_free_ char *name = buffer_take(key), *text = buffer_take(value);
        if (!name || !text) {
                return error_oom(p->err);
        }
        EnvEntry *entry = envfile_find(p->file, name);
        if (!entry) {
                if (p->file->n >= ENVFILE_MAX_ENTRIES) {
                        return envfile_refuse(p, "too many assignments");
                }
                EnvEntry *entries = realloc(p->file->entries, (p->file->n + 1) * sizeof(EnvEntry));
                if (!entries) {
                        return error_oom(p->err);
                }
                p->file->entries = entries;
                entry = &entries[p->file->n++];
                *entry = (EnvEntry) { .key = TAKE(name) };
        } else if (!streq(entry->value, text)) {
                entry->earlier_line = entry->line;
                entry->conflicts = true;
        } else if (!entry->conflicts) {
                entry->earlier_line = entry->line;
        }
        free(entry->value);
        entry->value = TAKE(text);
        entry->line = line;
        return 0;
}

/* Reads KEY=value, or, after `export`, a KEY alone. Returns 1 if it has read the word `export`,
 * else 0. */
static int parse_assignment(Parser *p, bool exported)
{
        _cleanup_buffer_ Buffer key = {}, value = {};
        Parser start = *p;
        int r = parse_name(p, &key);
        if (r < 0) {
                return r;
        }
        int c = peek(p);
        if (c != '=') {
                bool ends = c == EOF || isspace(c);
                if (exported && ends) {
                        return 0;
                }
                if (ends && streq_ptr(key.data, "export")) {
                        return 1;
                }
                return envfile_refuse(&start, "expected KEY=value without blanks around =; "
                                              "commands are not run");
        }
        (void) next(p);
        r = parse_value(p, &value);
        return r < 0 ? r : store(p, &key, &value, start.line);
}

static void skip_blanks(Parser *p)
{
        while (peek(p) == ' ' || peek(p) == '\t' || (peek(p) == '\\' && peek_second(p) == '\n')) {
                if (next(p) == '\\') {
                        (void) next(p);
                }
        }
}

static int parse_line(Parser *p)
{
        bool exported = false;
        for (;;) {
                skip_blanks(p);
                int c = peek(p);
                if (c == '#') {
                        while (peek(p) != EOF && peek(p) != '\n') {
                                (void) next(p);
                        }
                        continue;
                }
                if (c == EOF || c == '\n') {
                        (void) next(p);
                        return 0;
                }
                const char *meaning = shell_meaning(c);
                if (meaning) {
                        return envfile_refuse(p, meaning);
                }
                int r = parse_assignment(p, exported);
                if (r < 0) {
                        return r;
                }
                exported = exported || r > 0;
        }
}

int envfile_parse(const char *name, const char *text, size_t n, EnvFile *ret, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        Parser p = { .name = name,
                     .at = text,
                     .end = text + n,
                     .line = 1,
                     .column = 1,
                     .file = &file,
                     .err = err };
        if (n > ENVFILE_MAX_BYTES) {
                return error_set(err, ERROR_CONFIG, EFBIG, "%s is larger than %zu bytes", name,
                                 ENVFILE_MAX_BYTES);
        }
        if (n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "%s is UTF-16: save it as UTF-8", name);
        }
        if (n > 0 && memchr(text, '\0', n)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "%s holds a NUL byte: not a text file",
                                 name);
        }
        if (starts_with_mark(p.at, p.end)) {
                file.byte_order_mark = true;
                p.at += 3;
        }
        while (peek(&p) != EOF) {
                int r = parse_line(&p);
                if (r < 0) {
                        return r;
                }
        }
        *ret = file;
        file = (EnvFile) {};
        return 0;
}

int envfile_load(const char *path, EnvFile *ret, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = file_read(path, ENVFILE_MAX_BYTES, &text, err);
        return r < 0 ? r : envfile_parse(path, text.data, text.size, ret, err);
}

const EnvEntry *envfile_get(const EnvFile *file, const char *key)
{
        return envfile_find(file, key);
}

void envfile_done(EnvFile *file)
{
        FOREACH_ARRAY(e, file->entries, file->n) {
                free(e->key);
                free(e->value);
        }
        free(TAKE(file->entries));
        file->n = 0;
}
