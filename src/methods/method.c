/* SPDX-License-Identifier: Apache-2.0 */
/* Methods by name: their parameters, and encoding and decoding of one weight with every check in one place. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/plain_numbers.h"
#include "methods/method.h"

static const isgi_method_kind *const kinds[] = {
#define ISGI_METHOD(name) &isgi_method_##name,
#include "methods/methods.def"
#undef ISGI_METHOD
};
#define KINDS ((uint32_t)(sizeof kinds / sizeof kinds[0]))

/* ---- the list ---- */

uint32_t isg_method_count(void)
{
    return KINDS;
}

const char *isg_method_name(uint32_t index)
{
    return index < KINDS ? kinds[index]->name : NULL;
}

const char *isg_method_summary(uint32_t index)
{
    return index < KINDS ? kinds[index]->summary : NULL;
}

const isg_method_param *isg_method_param_at(uint32_t index, uint32_t param)
{
    if (index >= KINDS || param >= ISGI_METHOD_PARAMS) return NULL;
    return kinds[index]->params[param].name ? &kinds[index]->params[param] : NULL;
}

const char *isg_method_section_name(isg_method_section section)
{
    static const char *const names[ISG_SECTION_COUNT] = {"codes", "scales", "bases", "masks", "indices"};
    return (unsigned)section < ISG_SECTION_COUNT ? names[section] : "";
}

/* ---- a method from text ---- */

static isg_status find_kind(isg_method *m, const char *name, size_t length, isg_error *err)
{
    char known[200], asked[80], safe[100];
    size_t used = 0;
    for (uint32_t i = 0; i < KINDS; i++) {
        if (strlen(kinds[i]->name) == length && !memcmp(kinds[i]->name, name, length)) {
            m->kind = kinds[i];
            return ISG_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", kinds[i]->name);
    }
    snprintf(asked, sizeof asked, "%.*s", length < sizeof asked ? (int)length : (int)sizeof asked - 1, name);
    return isgi_fail(err, ISG_E_ARG, "no method '%s'; there are %s", isgi_escape(safe, sizeof safe, asked), known);
}

/* "KEY=VALUE" of `length` bytes. */
static isg_status set_value(isg_method *m, const char *text, size_t length, isg_error *err)
{
    const isg_method_param *params = m->kind->params;
    char pair[80], safe[100], *equals, *end;
    double x;
    if (length >= sizeof pair) return isgi_fail(err, ISG_E_ARG, "method %s: a parameter is too long", m->kind->name);
    memcpy(pair, text, length);
    pair[length] = 0;
    isgi_escape(safe, sizeof safe, pair);
    equals = strchr(pair, '=');
    if (!equals) return isgi_fail(err, ISG_E_ARG, "method %s: '%s' is not KEY=VALUE", m->kind->name, safe);
    *equals = 0;
    for (uint32_t i = 0; params[i].name; i++) {
        if (strcmp(params[i].name, pair)) continue;
        errno = 0;
        x = strtod(equals + 1, &end);
        if (end == equals + 1 || *end || errno || !(x >= params[i].least && x <= params[i].most) ||
            (params[i].whole && x != floor(x)))
            return isgi_fail(err, ISG_E_ARG, "method %s: %s is a %snumber from %g to %g", m->kind->name, params[i].name,
                             params[i].whole ? "whole " : "", params[i].least, params[i].most);
        m->values[i] = x;
        return ISG_OK;
    }
    return isgi_fail(err, ISG_E_ARG, "method %s has no parameter '%s'", m->kind->name, safe);
}

/* 0.9 and 200, as %g has them, but never the same text for another number. */
static void show_value(char *text, size_t room, double x)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, room, "%.*g", digits, x);
        if (strtod(text, NULL) == x) return;
    }
}

/* The name, then every parameter. */
static void write_text(isg_method *m)
{
    char value[32];
    const isg_method_param *params = m->kind->params;
    size_t used = (size_t)snprintf(m->text, sizeof m->text, "%s", m->kind->name);
    for (uint32_t i = 0; params[i].name && used < sizeof m->text; i++) {
        show_value(value, sizeof value, m->values[i]);
        used +=
            (size_t)snprintf(m->text + used, sizeof m->text - used, "%c%s=%s", i ? ',' : ':', params[i].name, value);
    }
}

static isg_status read_text(isg_method *m, const char *text, isg_error *err)
{
    const size_t name = strcspn(text, ":");
    const char *p = text + name;
    isg_status status = find_kind(m, text, name, err);
    for (uint32_t i = 0; status == ISG_OK && m->kind->params[i].name; i++) m->values[i] = m->kind->params[i].preset;
    while (status == ISG_OK && *p) {
        const size_t length = strcspn(p + 1, ",");
        status = set_value(m, p + 1, length, err);
        p += 1 + length;
    }
    if (status == ISG_OK) write_text(m);
    return status;
}

isg_status isg_method_create(isg_method **out, const char *text, isg_error *err)
{
    isg_method *m = isgi_calloc(1, sizeof *m);
    isgi_plain_numbers plain;
    isg_status status;
    *out = NULL;
    if (!m) return isgi_nomem(err);
    isgi_plain_numbers_begin(&plain);
    status = read_text(m, text, err);
    isgi_plain_numbers_end(&plain);
    if (status == ISG_OK)
        *out = m;
    else
        isg_free(m);
    return status;
}

void isg_method_destroy(isg_method *m)
{
    isg_free(m);
}

const char *isg_method_text(const isg_method *m)
{
    return m->text;
}

/* ---- one weight ---- */

/* Every side counts and the product fits into 32 bits: sizes of streams then cannot overflow either. */
static int sane(const isg_method_shape *s)
{
    uint64_t count = 1;
    const uint32_t dims[4] = {s->co, s->ci, s->kh, s->kw};
    for (int i = 0; i < 4; i++) {
        count *= dims[i];
        if (count == 0 || count > UINT32_MAX) return 0;
    }
    return 1;
}

int isg_method_fits(const isg_method *m, const isg_method_shape *shape)
{
    return sane(shape) && (!m->kind->fits || m->kind->fits(m->values, shape));
}

static isg_status check_shape(const isg_method *m, const isg_method_shape *s, isg_error *err)
{
    if (isg_method_fits(m, s)) return ISG_OK;
    return isgi_fail(err, ISG_E_ARG, "method %s has no form for a weight of %u x %u x %u x %u", m->text,
                     (unsigned)s->co, (unsigned)s->ci, (unsigned)s->kh, (unsigned)s->kw);
}

static void fill_cost(const isg_method *m, const isg_method_shape *shape, const isgi_coder *c, isg_method_cost *cost)
{
    memset(cost, 0, sizeof *cost);
    cost->weights = (uint64_t)shape->co * isgi_method_row(shape);
    memcpy(cost->bits, c->bits, sizeof cost->bits);
    if (m->kind->work) m->kind->work(m->values, shape, cost);
}

isg_status isg_method_encode(const isg_method *m, const isg_method_shape *shape, const float *w, uint8_t **bytes,
                             size_t *size, isg_method_cost *cost, isg_error *err)
{
    isgi_coder c = {0};
    isg_status status = check_shape(m, shape, err);
    const size_t count = status == ISG_OK ? (size_t)shape->co * isgi_method_row(shape) : 0;
    *bytes = NULL;
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(w[i])) return isgi_fail(err, ISG_E_NUMERIC, "a weight is not a finite number");
    }
    if (status == ISG_OK) status = m->kind->encode(m->values, shape, w, &c, err);
    if (status == ISG_OK && c.status == ISG_E_NOMEM) status = isgi_nomem(err);
    if (status == ISG_OK && c.status != ISG_OK)
        status = isgi_fail(err, c.status, "method %s: a scale is beyond binary16", m->text);
    if (status != ISG_OK) {
        isg_free(c.data);
        return status;
    }
    *bytes = c.data;
    *size = (size_t)((c.position + 7u) / 8u);
    if (cost) fill_cost(m, shape, &c, cost);
    return ISG_OK;
}

isg_status isg_method_decode(const isg_method *m, const isg_method_shape *shape, const uint8_t *bytes, size_t size,
                             float *w, isg_error *err)
{
    isgi_decoder d = {bytes, size, 0, 0};
    const size_t count = (size_t)shape->co * isgi_method_row(shape);
    ISGI_TRY(check_shape(m, shape, err));
    ISGI_TRY(m->kind->decode(m->values, shape, &d, w, err));
    for (size_t i = 0; i < count && !d.bad; i++) d.bad = !isfinite(w[i]);
    if (!d.bad && (d.position + 7u) / 8u == size) return ISG_OK;
    return isgi_fail(err, ISG_E_FORMAT, "method %s: %s", m->text,
                     d.bad ? "the bytes end early, or a number is not finite" : "there are bytes left over");
}
