// A counter, written against the WIT and no SDK: commands StartCounter and Add {by}, event Added {by}, state {total},
// and a read model of the totals.
//
// Uses no standard input or output, so that nothing of WASI is imported.

#include <stdlib.h>
#include <string.h>

#include "module.h"

// Room for {"total":<number>}.
enum { JSON_BYTES_MAX = 48 };

// The most that a counter holds.
static const uint64_t TOTAL_MAX = 1000000000;

static bool equals(const module_string_t *text, const char *expected) {
    return text->len == strlen(expected) && memcmp(text->ptr, expected, text->len) == 0;
}

static module_string_t text(const char *content) {
    module_string_t copy;
    module_string_dup(&copy, content);
    return copy;
}

static module_string_t copy_of(const module_string_t *original) {
    module_string_t copy;
    module_string_dup_n(&copy, (const char *)original->ptr, original->len);
    return copy;
}

// What cannot be, given the manifest's schemas, ends the call.
static void check(bool holds) {
    if (!holds) __builtin_trap();
}

// --- JSON: flat objects of numbers and texts, which is all that the schemas of this module allow. ---

static size_t skip_space(const module_string_t *json, size_t at) {
    while (at < json->len && memchr(" \t\r\n", json->ptr[at], 4)) at++;
    return at;
}

// From the quote that opens a text to behind the one that closes it.
static size_t skip_text(const module_string_t *json, size_t at) {
    check(at < json->len && json->ptr[at] == '"');
    for (at++; at < json->len && json->ptr[at] != '"'; at++) {
        if (json->ptr[at] == '\\') at++;
    }
    check(at < json->len);
    return at + 1;
}

static bool is_digit(const module_string_t *json, size_t at) {
    return at < json->len && json->ptr[at] >= '0' && json->ptr[at] <= '9';
}

// A number that is whole, however it is written: 250, 250.0 or 2.5e2. Moves `at` behind it.
static uint64_t read_number(const module_string_t *json, size_t *at) {
    uint64_t digits = 0;
    int exponent = 0;
    check(is_digit(json, *at));
    for (bool fraction = false; is_digit(json, *at) || (!fraction && *at < json->len && json->ptr[*at] == '.'); ++*at) {
        if (json->ptr[*at] == '.') {
            fraction = true;
        } else {
            check(digits < UINT64_MAX / 10 - 1);
            digits = digits * 10 + (json->ptr[*at] - '0');
            exponent -= fraction;
        }
    }
    if (*at < json->len && (json->ptr[*at] | 0x20) == 'e') {
        ++*at;
        bool negative = *at < json->len && json->ptr[*at] == '-';
        if (negative || (*at < json->len && json->ptr[*at] == '+')) ++*at;
        int written = 0;
        for (; is_digit(json, *at) && written < 1000; ++*at) written = written * 10 + (json->ptr[*at] - '0');
        exponent += negative ? -written : written;
    }
    for (; exponent > 0 && digits <= TOTAL_MAX; exponent--) digits *= 10;
    for (; exponent < 0 && digits > 0; exponent++) digits /= 10;
    return digits;
}

// The number that a member holds; 0 when there is no such member.
static uint64_t number_of(const module_string_t *json, const char *name) {
    uint64_t found = 0;
    size_t at = skip_space(json, 0);
    check(at < json->len && json->ptr[at] == '{');
    for (at = skip_space(json, at + 1); at < json->len && json->ptr[at] != '}';) {
        module_string_t key = {json->ptr + at + 1, 0};
        at = skip_text(json, at);
        key.len = json->ptr + at - 1 - key.ptr;
        at = skip_space(json, at);
        check(at < json->len && json->ptr[at] == ':');
        at = skip_space(json, at + 1);
        if (is_digit(json, at)) {
            uint64_t number = read_number(json, &at);
            if (equals(&key, name)) found = number;
        } else {
            at = skip_text(json, at);
        }
        at = skip_space(json, at);
        if (at < json->len && json->ptr[at] == ',') at = skip_space(json, at + 1);
    }
    return found;
}

// {"<name>":<number>}
static module_string_t object_of(const char *name, uint64_t number) {
    char json[JSON_BYTES_MAX];
    char digits[20];
    size_t count = 0, at = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    at = strlen(name);
    check(at + count + 5 < sizeof json);
    memcpy(json, "{\"", 2);
    memcpy(json + 2, name, at);
    memcpy(json + 2 + at, "\":", 2);
    for (at += 4; count > 0;) json[at++] = digits[--count];
    json[at++] = '}';
    json[at] = 0;
    return text(json);
}

// --- The aggregate. ---

static uint64_t total_of(const millwork_module_types_subject_t *counter) {
    return counter->state.is_some ? number_of(&counter->state.val, "total") : 0;
}

static millwork_module_types_subject_id_t copy_of_id(const millwork_module_types_subject_id_t *id) {
    return (millwork_module_types_subject_id_t){copy_of(&id->aggregate), copy_of(&id->id)};
}

// Both commands lead to the same event: a counter starts at the first step.
bool exports_millwork_module_aggregates_decide(exports_millwork_module_aggregates_subject_t *target,
                                               exports_millwork_module_aggregates_list_subject_t *related,
                                               exports_millwork_module_aggregates_command_t *command,
                                               exports_millwork_module_aggregates_context_t *context,
                                               exports_millwork_module_aggregates_decision_t *ret,
                                               exports_millwork_module_aggregates_rejection_t *err) {
    (void)related;
    (void)context;
    check(equals(&command->name, "StartCounter") || equals(&command->name, "Add"));
    uint64_t by = number_of(&command->data, "by");
    uint64_t total = total_of(target) + by;
    if (total > TOTAL_MAX) {
        err->tag = MILLWORK_MODULE_TYPES_REJECTION_CONFLICT;
        err->val.conflict.code = text("counter-full");
        err->val.conflict.message = text("The counter cannot hold that much.");
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->events.len = 1;
    ret->events.ptr = malloc(sizeof *ret->events.ptr);
    ret->states.len = 1;
    ret->states.ptr = malloc(sizeof *ret->states.ptr);
    check(ret->events.ptr && ret->states.ptr);
    ret->events.ptr->name = text("Added");
    ret->events.ptr->of = copy_of_id(&target->of);
    ret->events.ptr->data = object_of("by", by);
    ret->states.ptr->f0 = copy_of_id(&target->of);
    ret->states.ptr->f1 = object_of("total", total);
    return true;
}

void exports_millwork_module_aggregates_evolve(exports_millwork_module_aggregates_subject_t *of,
                                               exports_millwork_module_aggregates_list_event_t *events,
                                               exports_millwork_module_aggregates_json_t *ret) {
    uint64_t total = total_of(of);
    for (size_t i = 0; i < events->len; i++) total += number_of(&events->ptr[i].data, "by");
    *ret = object_of("total", total);
}

// --- The read model. ---

void exports_millwork_module_projections_apply(module_string_t *projection,
                                               exports_millwork_module_projections_list_event_t *events) {
    check(equals(projection, "Counters"));
    module_string_t collection = text("counters");
    for (size_t i = 0; i < events->len; i++) {
        millwork_module_types_event_t *event = &events->ptr[i];
        millwork_documents_documents_option_json_t present;
        millwork_documents_documents_error_t error;
        check(millwork_documents_documents_get(&collection, &event->of.id, &present, &error));
        uint64_t before = present.is_some ? number_of(&present.val, "total") : 0;
        module_string_t document = object_of("total", before + number_of(&event->data, "by"));
        check(millwork_documents_documents_put(&collection, &event->of.id, &document, &error));
        millwork_documents_documents_option_json_free(&present);
        module_string_free(&document);
    }
    module_string_free(&collection);
}
