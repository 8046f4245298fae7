/* SPDX-License-Identifier: Apache-2.0 */
/* GNU-style long options from tables, so that --help can only say what the parser does. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char isa_words[] = "scalar|avx2|avx512|avx512vnni|avx512bf16|neon|neondot";
/* Each with those below it, in the order of the words. */
static const uint32_t isa_masks[] = {ISG_ISA_SCALAR,
                                     ISG_ISA_AVX2,
                                     ISG_ISA_AVX2 | ISG_ISA_AVX512,
                                     ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI,
                                     ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI | ISG_ISA_AVX512BF16,
                                     ISG_ISA_NEON,
                                     ISG_ISA_NEON | ISG_ISA_NEONDOT};
#define COMMON_COUNT 8

static void common_options(tool_option list[COMMON_COUNT], tool *t, const char **isa, int *help)
{
    const tool_option common[COMMON_COUNT] = {
        {"json", 0, OPTION_FLAG, &t->json, NULL, "print the result as JSON on stdout"},
        {"seed", 0, OPTION_U64, &t->seed, "N", "seed of everything random (default 1)"},
        {"threads", 't', OPTION_U32, &t->threads, "N", "threads (default: as many as this process may use)"},
        {"isa", 0, OPTION_TEXT, isa, isa_words, "use at most these instructions (default: INSITU_ISA, or the best)"},
        {"max-memory", 0, OPTION_SIZE, &t->max_memory, "S", "refuse work that needs more (default: the machine's)"},
        {"quiet", 'q', OPTION_FLAG, &t->quiet, NULL, "no progress and no notes on stderr"},
        {"help", 'h', OPTION_FLAG, help, NULL, "print this help"},
        {"version", 'V', OPTION_FLAG, help + 1, NULL, "print the version"},
    };
    memcpy(list, common, sizeof common);
}

int tool_usage_error(tool *t, const char *format, ...)
{
    char message[1024], shown[1024], line[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    tool_escape(shown, sizeof shown, message, strlen(message)); /* arguments may hold control characters */
    snprintf(line, sizeof line, "insitu: error: %s%s%s", t->verb, *t->verb ? ": " : "", shown);
    tool_error_line(t, line, EXIT_USAGE);
    return EXIT_USAGE;
}

int tool_given(const tool *t, const char *name)
{
    uint32_t i;
    for (i = 0; i < t->given_count; i++)
        if (!strcmp(t->given[i], name)) return 1;
    return 0;
}

int tool_refuse(tool *t, const char *const *names, const char *rule)
{
    for (; *names; names++)
        if (tool_given(t, *names)) return tool_usage_error(t, "option --%s %s", *names, rule);
    return EXIT_OK;
}

static void print_option(const tool_option *o)
{
    char left[96];
    int n;
    if (o->letter)
        n = snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name);
    else
        n = snprintf(left, sizeof left, "      --%s", o->name);
    if (o->argument) n += snprintf(left + n, sizeof left - (size_t)n, "=%s", o->argument);
    if (n < 30)
        printf("%-30s %s\n", left, o->help);
    else
        printf("%s\n%-30s %s\n", left, "", o->help);
}

int tool_option_listed(const tool_usage *usage, const tool_option *common)
{
    return !usage->idle || strcmp(usage->idle, common->name) != 0;
}

static void print_usage(const tool_usage *u, const tool_option *common)
{
    size_t i;
    printf("usage: insitu %s [OPTIONS] %s\n\n%s\n", u->verb->name, u->arguments, u->verb->summary);
    if (u->details) printf("\n%s\n", u->details);
    if (u->option_count) printf("\noptions:\n");
    for (i = 0; i < u->option_count; i++) print_option(&u->options[i]);
    printf("\ncommon options:\n");
    for (i = 0; i < COMMON_COUNT; i++)
        if (tool_option_listed(u, &common[i])) print_option(&common[i]);
}

static int read_unsigned(uint64_t *value, const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *value <= max;
}

static int read_size(uint64_t *value, const char *text)
{
    static const char suffixes[] = "kMG";
    char *end;
    double number, unit = 1.0;
    const char *suffix;
    if ((*text < '0' || *text > '9') && *text != '.') return 0;
    number = strtod(text, &end);
    if (*end) {
        suffix = strchr(suffixes, *end == 'K' ? 'k' : *end);
        if (!suffix || end[1]) return 0;
        unit = suffix == suffixes ? 1e3 : suffix == suffixes + 1 ? 1e6 : 1e9;
    }
    if (!(number * unit >= 1.0 && number * unit < 1e18)) return 0;
    *value = (uint64_t)(number * unit);
    return 1;
}

static int read_real(double *value, const char *text)
{
    char *end;
    if (!*text) return 0;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static int read_time(double *seconds, const char *text)
{
    char *end;
    double number, unit = 1.0;
    if ((*text < '0' || *text > '9') && *text != '.') return 0;
    number = strtod(text, &end);
    if (*end && strchr("smh", *end) && !end[1]) {
        unit = *end == 's' ? 1.0 : *end == 'm' ? 60.0 : 3600.0;
        end++;
    }
    if (*end || !(number * unit > 0.0 && number * unit < 1e9)) return 0;
    *seconds = number * unit;
    return 1;
}

static int read_choice(uint32_t *value, const char *words, const char *text)
{
    size_t n = strlen(text);
    uint32_t index = 0;
    while (words) {
        const char *bar = strchr(words, '|');
        size_t length = bar ? (size_t)(bar - words) : strlen(words);
        if (n == length && !memcmp(words, text, n)) {
            *value = index;
            return 1;
        }
        index++;
        words = bar ? bar + 1 : NULL;
    }
    return 0;
}

static int store_value(const tool_option *o, const char *text)
{
    uint64_t number;
    double real;
    long integer;
    char *end;
    switch (o->kind) {
    case OPTION_FLAG: *(int *)o->target = 1; return 1;
    case OPTION_TEXT: *(const char **)o->target = text; return *text != '\0';
    case OPTION_U32:
        if (!read_unsigned(&number, text, UINT32_MAX)) return 0;
        *(uint32_t *)o->target = (uint32_t)number;
        return 1;
    case OPTION_U64: return read_unsigned(o->target, text, UINT64_MAX);
    case OPTION_I32:
        errno = 0;
        integer = strtol(text, &end, 10);
        if (!*text || *end || errno || integer < -1000000000 || integer > 1000000000) return 0;
        *(int32_t *)o->target = (int32_t)integer;
        return 1;
    case OPTION_SIZE: return read_size(o->target, text);
    case OPTION_REAL: return read_real(o->target, text);
    case OPTION_TIME: return read_time(o->target, text);
    case OPTION_FLOAT:
        if (!read_real(&real, text) || fabs(real) > 1e30) return 0;
        *(float *)o->target = (float)real;
        return 1;
    case OPTION_CHOICE: return read_choice(o->target, o->argument, text);
    case OPTION_LIST: {
        option_list *list = o->target;
        if (list->count == OPTION_LIST_MAX || !*text) return 0;
        list->items[list->count++] = text;
        return 1;
    }
    }
    return 0;
}

typedef struct option_tables {
    const tool_option *own, *common;
    size_t own_count;
} option_tables;

static const tool_option *find_option(const option_tables *tables, const char *name, size_t n, char letter)
{
    size_t i;
    for (i = 0; i < tables->own_count + COMMON_COUNT; i++) {
        const tool_option *o = i < tables->own_count ? &tables->own[i] : &tables->common[i - tables->own_count];
        if (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n)) return o;
    }
    return NULL;
}

/* One option at argv[*at]; moves *at over a separate value. */
static int parse_option(tool *t, const option_tables *tables, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *value = NULL, *equals;
    const tool_option *o;
    char shown[80];
    tool_escape(shown, sizeof shown, word, strlen(word));
    if (word[1] == '-') {
        equals = strchr(word, '=');
        o = find_option(tables, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word) - 2, 0);
        if (equals) value = equals + 1;
    } else {
        o = find_option(tables, NULL, 0, word[1]);
        if (word[2]) value = word + 2;
    }
    if (!o) return tool_usage_error(t, "unknown option '%s' (see insitu %s --help)", shown, t->verb);
    if (o->kind == OPTION_FLAG) {
        if (value) return tool_usage_error(t, "option --%s takes no value", o->name);
    } else if (!value) {
        if (*at + 1 >= argc) return tool_usage_error(t, "option --%s needs a value", o->name);
        value = argv[++*at];
    }
    if (!store_value(o, value)) {
        tool_escape(shown, sizeof shown, value, strlen(value));
        if (o->kind == OPTION_CHOICE)
            return tool_usage_error(t, "option --%s: '%s' is none of %s", o->name, shown, o->argument);
        return tool_usage_error(t, "option --%s: bad value '%s'", o->name, shown);
    }
    if (!tool_given(t, o->name) && t->given_count < TOOL_MAX_GIVEN) t->given[t->given_count++] = o->name;
    return -1;
}

void tool_print_isa(void)
{
    const char *word = isa_words;
    size_t i;
    for (i = 0; i < sizeof isa_masks / sizeof *isa_masks; i++) {
        const size_t n = strcspn(word, "|");
        if (!(isa_masks[i] & ~isg_rt_isa())) printf(" %.*s", (int)n, word);
        word += n + 1;
    }
    putchar('\n');
}

/* --isa or, without it, INSITU_ISA: what was asked for by name is had or refused, in every verb. */
static int isa_mask(tool *t, const char *isa)
{
    const char *source = isa ? "option --isa" : "INSITU_ISA";
    uint32_t index;
    char shown[60];
    if (!isa) isa = getenv("INSITU_ISA");
    if (!isa || !*isa) return -1;
    if (!read_choice(&index, isa_words, isa))
        return tool_usage_error(t, "%s: '%s' is none of %s", source, tool_escape(shown, sizeof shown, isa, strlen(isa)),
                                isa_words);
    if (isa_masks[index] & ~isg_rt_isa()) return tool_usage_error(t, "%s: this CPU has no %s", source, isa);
    t->isa_mask = isa_masks[index];
    return -1;
}

int tool_parse(tool *t, const tool_usage *usage, int argc, char **argv, int *arguments)
{
    tool_option common[COMMON_COUNT];
    option_tables tables = {usage->options, common, usage->option_count};
    const char *isa = NULL;
    int asked[2] = {0, 0}, only_files = 0, i, code;
    common_options(common, t, &isa, asked);
    *arguments = 0;
    if (t->describe) {
        t->describe(t->describe_user, usage, common, COMMON_COUNT);
        return EXIT_OK;
    }
    for (i = 0; i < argc; i++) {
        if (only_files || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[(*arguments)++] = argv[i];
        } else if (!strcmp(argv[i], "--")) {
            only_files = 1;
        } else {
            code = parse_option(t, &tables, argc, argv, &i);
            if (code >= 0) return code;
        }
    }
    if (asked[0]) {
        print_usage(usage, common);
        return EXIT_OK;
    }
    if (asked[1]) {
        printf("insitu %s\n", ISG_VERSION_STRING);
        return EXIT_OK;
    }
    if (usage->idle && tool_given(t, usage->idle))
        return tool_usage_error(t, "option --%s changes nothing here", usage->idle);
    if (*arguments < usage->min_arguments)
        return tool_usage_error(t, "%s expected (see insitu %s --help)", usage->arguments, t->verb);
    if (usage->max_arguments >= 0 && *arguments > usage->max_arguments) {
        char shown[80];
        return tool_usage_error(
            t, "unexpected argument '%s'",
            tool_escape(shown, sizeof shown, argv[usage->max_arguments], strlen(argv[usage->max_arguments])));
    }
    if (t->threads > 1024) return tool_usage_error(t, "option --threads: at most 1024");
    return isa_mask(t, isa);
}
