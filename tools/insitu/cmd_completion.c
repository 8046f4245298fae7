/* SPDX-License-Identifier: Apache-2.0 */
/* insitu completion: scripts for shells, from the tables that --help is printed from. No model is needed. */
#include <string.h>

#include "tool.h"

/* ---- what goes where a value is expected ---- */

enum { VALUE_FILE = 1, VALUE_FOLDER = 2 }; /* neither: something that cannot be listed */

/* One alternative of an argument as --help shows it ("scalar|avx2", "cuda[:N]", "NAME|FILE", "OUT.isg"). */
typedef struct part {
    const char *text;
    size_t length;
    int word; /* to be typed as it stands */
} part;

/* Moves *rest to the next alternative; 0 when there is none. */
static int next_part(const char **rest, part *p)
{
    static const char typed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const char *text = *rest;
    const size_t whole = text ? strcspn(text, "|") : 0;
    if (!whole) return 0;
    p->text = text;
    p->length = strcspn(text, "|[");
    p->word = p->length && *text != '-' && strspn(text, typed) == p->length;
    *rest = text[whole] ? text + whole + 1 : NULL;
    return 1;
}

/* "OUT.isg", "X.npy": a dot and the letters of a file's ending. */
static int has_ending(const part *p)
{
    size_t i;
    for (i = 1; i + 1 < p->length; i++)
        if (p->text[i] == '.' && p->text[i + 1] >= 'a' && p->text[i + 1] <= 'z') return 1;
    return 0;
}

static int is_name(const part *p, const char *name)
{
    return strlen(name) == p->length && !memcmp(p->text, name, p->length);
}

static int has_words(const char *argument)
{
    const int several = strchr(argument, '|') != NULL;
    part p;
    while (next_part(&argument, &p))
        if (p.word && several) return 1;
    return 0;
}

/* As the tables name files and folders. */
static int value_kind(const char *argument)
{
    int kind = 0;
    part p;
    while (next_part(&argument, &p)) {
        if (is_name(&p, "DIR")) kind |= VALUE_FOLDER;
        if (is_name(&p, "FILE") || is_name(&p, "OTHER") || has_ending(&p)) kind |= VALUE_FILE;
    }
    return kind;
}

static void print_words(const char *argument)
{
    const char *space = "";
    part p;
    while (next_part(&argument, &p)) {
        if (!p.word) continue;
        printf("%s%.*s", space, (int)p.length, p.text);
        space = " ";
    }
}

/* What stands behind the options of a verb: words if it is nothing else, else files. */
static const char *argument_words(const tool_usage *u)
{
    return strpbrk(u->arguments, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ? NULL : u->arguments;
}

/* ---- walking the tables ---- */

typedef struct shell {
    const char *name;
    void (*begin)(void);
    void (*verb)(const tool_usage *u, const tool_option *common, size_t count);
    void (*end)(void); /* or NULL */
} shell;

/* Option i of those a verb lists, its own first; NULL: not listed. */
static const tool_option *option_at(const tool_usage *u, const tool_option *common, size_t i)
{
    if (i < u->option_count) return &u->options[i];
    common += i - u->option_count;
    return tool_option_listed(u, common) ? common : NULL;
}

/* Text inside single quotes: `quoted` in place of a quote, a backslash before each of `escaped`. */
static void print_text(const char *s, const char *quoted, const char *escaped)
{
    for (; *s; s++) {
        if (*s == '\'') {
            printf("%s", quoted);
            continue;
        }
        if (strchr(escaped, *s)) putchar('\\');
        putchar(*s);
    }
}

/* ---- bash ---- */

static void bash_begin(void)
{
    size_t i;
    printf("# Completion of insitu for bash, as `insitu completion bash` prints it.\n"
           "_insitu()\n{\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} previous='' verb=${COMP_WORDS[1]} prefix=''\n"
           "    local options='' words='' what=files\n"
           "    ((COMP_CWORD > 1)) && previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    # bash cuts words at = and :, unless it was told not to\n"
           "    if [[ $current == [=:] ]]; then\n"
           "        current=''\n"
           "    elif [[ $previous == = ]]; then\n"
           "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    elif [[ $current == --*=* ]]; then\n"
           "        previous=${current%%%%=*} prefix=${current%%%%=*}= current=${current#*=}\n"
           "    fi\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        what='' options='--help --version' words='");
    for (i = 0; i < tool_verb_count; i++) printf("%s%s", i ? " " : "", tool_verbs[i].name);
    printf("'\n    else\n        case $verb in\n");
}

static void bash_option(const tool_option *o)
{
    if (o->letter) printf("-%c | ", o->letter);
    printf("--%s", o->name);
}

/* What may stand behind each option that takes a value; those of which nothing is known come last, together. */
static void bash_values(const tool_usage *u, const tool_option *common, size_t count)
{
    const char *bar = "            ";
    size_t i;
    for (i = 0; i < u->option_count + count; i++) {
        const tool_option *o = option_at(u, common, i);
        const int kind = o && o->kind != OPTION_FLAG ? value_kind(o->argument) : 0;
        if (!o || o->kind == OPTION_FLAG || !(kind || has_words(o->argument))) continue;
        printf("            ");
        bash_option(o);
        printf(") options='' what=%s words='", kind & VALUE_FILE ? "files" : kind & VALUE_FOLDER ? "folders" : "''");
        if (has_words(o->argument)) print_words(o->argument);
        printf("' ;;\n");
    }
    for (i = 0; i < u->option_count + count; i++) {
        const tool_option *o = option_at(u, common, i);
        if (!o || o->kind == OPTION_FLAG || value_kind(o->argument) || has_words(o->argument)) continue;
        printf("%s", bar);
        bash_option(o);
        bar = " | ";
    }
    printf(") options='' what='' ;;\n");
}

static void bash_verb(const tool_usage *u, const tool_option *common, size_t count)
{
    const char *words = argument_words(u), *space = "";
    size_t i;
    printf("        %s)\n            options='", u->verb->name);
    for (i = 0; i < u->option_count + count; i++) {
        const tool_option *o = option_at(u, common, i);
        if (!o) continue;
        printf("%s--%s%s", space, o->name, o->kind == OPTION_FLAG ? "" : "=");
        space = " ";
    }
    printf("'\n");
    if (words) {
        printf("            what='' words='");
        print_words(words);
        printf("'\n");
    }
    printf("            case $previous in\n");
    bash_values(u, common, count);
    printf("            esac\n            ;;\n");
}

static void bash_end(void)
{
    printf("        *) return ;;\n        esac\n    fi\n"
           "    [[ $current == -* && -z $prefix ]] && what='' words=$options\n"
           "    COMPREPLY=()\n"
           "    [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -P \"$prefix\" -W \"$words\" -- \"$current\")\n"
           "    if [[ $what == files ]]; then\n"
           "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"$prefix\" -f -- \"$current\")\n"
           "    elif [[ $what == folders ]]; then\n"
           "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"$prefix\" -d -- \"$current\")\n"
           "    fi\n"
           "    [[ -n $what ]] && compopt -o filenames 2>/dev/null\n"
           "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
           "    return 0\n}\ncomplete -F _insitu insitu\n");
}

/* ---- zsh ---- */

static void zsh_text(const char *s)
{
    print_text(s, "'\\''", "\\[]:");
}

static void zsh_begin(void)
{
    size_t i;
    printf("#compdef insitu\n"
           "# Completion of insitu for zsh, as `insitu completion zsh` prints it.\n"
           "_insitu()\n{\n"
           "    local verb=$words[2]\n"
           "    local -a verbs\n"
           "    if ((CURRENT == 2)); then\n"
           "        verbs=(\n");
    for (i = 0; i < tool_verb_count; i++) {
        printf("            '%s:", tool_verbs[i].name);
        zsh_text(tool_verbs[i].summary);
        printf("'\n");
    }
    printf("            '--help:the verbs'\n            '--version:version, commit, compiler, instructions'\n"
           "        )\n        _describe -V verb verbs\n        return\n    fi\n"
           "    shift words\n    ((CURRENT--))\n    case $verb in\n");
}

/* The action behind an option's or an argument's message. */
static void zsh_action(const char *argument)
{
    const int kind = value_kind(argument), words = has_words(argument);
    if (words && kind) {
        printf("{ compadd -- ");
        print_words(argument);
        printf("; %s }", kind & VALUE_FILE ? "_files" : "_files -/");
    } else if (words) {
        printf("(");
        print_words(argument);
        printf(")");
    } else {
        printf("%s", kind & VALUE_FILE ? "_files" : kind & VALUE_FOLDER ? "_files -/" : " ");
    }
}

static void zsh_option(const tool_option *o)
{
    const int value = o->kind != OPTION_FLAG, many = o->kind == OPTION_LIST;
    printf(" \\\n            ");
    if (o->letter && many)
        printf("'*'{-%c+,--%s=}'[", o->letter, o->name);
    else if (o->letter)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter, value ? "+" : "", o->name,
               value ? "=" : "");
    else
        printf("'%s--%s%s[", many ? "*" : "", o->name, value ? "=" : "");
    zsh_text(o->help);
    putchar(']');
    if (value) {
        putchar(':');
        zsh_text(o->argument);
        putchar(':');
        zsh_action(o->argument);
    }
    putchar('\'');
}

static void zsh_verb(const tool_usage *u, const tool_option *common, size_t count)
{
    const char *words = argument_words(u);
    size_t i;
    printf("    %s)\n        _arguments -S", u->verb->name);
    for (i = 0; i < u->option_count + count; i++) {
        const tool_option *o = option_at(u, common, i);
        if (o) zsh_option(o);
    }
    printf(" \\\n            '*:");
    zsh_text(u->arguments);
    printf(":");
    if (words)
        zsh_action(words);
    else
        printf("_files");
    printf("'\n        ;;\n");
}

static void zsh_end(void)
{
    printf("    esac\n}\n"
           "# found in $fpath this is the body of the function; read by source it is not\n"
           "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
           "    _insitu \"$@\"\n"
           "else\n"
           "    compdef _insitu insitu\n"
           "fi\n");
}

/* ---- fish ---- */

static void fish_text(const char *s)
{
    print_text(s, "\\'", "\\");
}

static void fish_begin(void)
{
    size_t i;
    printf("# Completion of insitu for fish, as `insitu completion fish` prints it.\n"
           "function __insitu_verb -d 'whether the verb is this one; without one, whether there is none yet'\n"
           "    set -l words (commandline -opc)\n"
           "    if test (count $argv) -eq 0\n"
           "        test (count $words) -eq 1\n"
           "    else\n"
           "        test (count $words) -gt 1; and test $words[2] = $argv[1]\n"
           "    end\n"
           "end\n\n"
           "complete -c insitu -n __insitu_verb -f\n"
           "complete -c insitu -n __insitu_verb -l help -s h -d 'the verbs'\n"
           "complete -c insitu -n __insitu_verb -l version -s V -d 'version, commit, compiler, instructions'\n");
    for (i = 0; i < tool_verb_count; i++) {
        printf("complete -c insitu -n __insitu_verb -a %s -d '", tool_verbs[i].name);
        fish_text(tool_verbs[i].summary);
        printf("'\n");
    }
}

static void fish_option(const char *verb, const tool_option *o)
{
    const int value = o->kind != OPTION_FLAG, kind = value ? value_kind(o->argument) : 0;
    printf("complete -c insitu -n '__insitu_verb %s' -l %s", verb, o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (value) printf(kind & VALUE_FILE ? " -r -F" : " -x");
    if (value && kind == VALUE_FOLDER) printf(" -a '(__fish_complete_directories)'");
    if (value && has_words(o->argument)) {
        printf(" -a '");
        print_words(o->argument);
        printf("'");
    }
    printf(" -d '");
    fish_text(o->help);
    printf("'\n");
}

static void fish_verb(const tool_usage *u, const tool_option *common, size_t count)
{
    const char *words = argument_words(u);
    size_t i;
    putchar('\n');
    if (words) {
        printf("complete -c insitu -n '__insitu_verb %s' -f -a '", u->verb->name);
        print_words(words);
        printf("'\n");
    }
    for (i = 0; i < u->option_count + count; i++) {
        const tool_option *o = option_at(u, common, i);
        if (o) fish_option(u->verb->name, o);
    }
}

/* ---- the verb ---- */

static void describe(void *user, const tool_usage *usage, const tool_option *common, size_t count)
{
    const shell *s = user;
    s->verb(usage, common, count);
}

static void print_script(const shell *s)
{
    size_t i;
    s->begin();
    for (i = 0; i < tool_verb_count; i++) {
        tool asked = {.verb = tool_verbs[i].name, .describe = describe, .describe_user = (void *)(uintptr_t)s};
        char *none[] = {NULL};
        tool_verbs[i].run(&asked, &tool_verbs[i], 0, none);
    }
    if (s->end) s->end();
}

int cmd_completion(tool *t, const tool_verb *verb, int argc, char **argv)
{
    static const shell shells[] = {{"bash", bash_begin, bash_verb, bash_end},
                                   {"zsh", zsh_begin, zsh_verb, zsh_end},
                                   {"fish", fish_begin, fish_verb, NULL}};
    const tool_usage usage = {
        verb,
        "bash|zsh|fish",
        "The script completes verbs, options, their words, and files. An installed tool has all three in place; else, "
        "in bash:\n  source <(insitu completion bash)\nin zsh, once compinit ran:\n  source <(insitu completion zsh)\n"
        "in fish:\n  insitu completion fish | source",
        NULL,
        0,
        1,
        1,
        "json"};
    char shown[80];
    size_t i;
    int words, code = tool_parse(t, &usage, argc, argv, &words);
    if (code >= 0) return code;
    for (i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(argv[0], shells[i].name)) continue;
        print_script(&shells[i]);
        return EXIT_OK;
    }
    return tool_usage_error(t, "'%s' is none of %s", tool_escape(shown, sizeof shown, argv[0], strlen(argv[0])),
                            usage.arguments);
}
