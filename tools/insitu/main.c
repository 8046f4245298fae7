/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the tool: the table of verbs, --help and --version. */
#include <insitu/format.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

const tool_verb tool_verbs[] = {
    {"info", "print what a model is: layers, factors, bits, sizes, provenance", cmd_info},
    {"check", "list everything that keeps a model from running", cmd_check},
    {"compress", "turn a trained network into packed low-bit factors", cmd_compress},
    {"tune", "fine-tune the factors of a compressed model", cmd_tune},
    {"train", "train a network from scratch or further", cmd_train},
    {"eval", "measure accuracy on a labelled dataset", cmd_eval},
    {"run", "run a model on images or arrays", cmd_run},
    {"compare", "compare the outputs of two models on the same inputs", cmd_compare},
    {"sensitivity", "say which layer costs the accuracy, each compressed alone", cmd_sensitivity},
    {"methods", "store a model by rival compression methods and compare", cmd_methods},
    {"bench", "measure latency and memory, per layer and against a baseline", cmd_bench},
    {"sim", "model energy, latency and traffic on an accelerator", cmd_sim},
    {"report", "turn results into pictures and pages for people", cmd_report},
    {"export", "write a model as ONNX, dense or factored, or as C", cmd_export},
    {"selftest", "replay the golden pair stored in a model", cmd_selftest},
    {"completion", "print a completion script for a shell", cmd_completion},
};
const size_t tool_verb_count = sizeof tool_verbs / sizeof *tool_verbs;

static int print_help(tool *t)
{
    size_t i;
    printf("usage: insitu VERB [OPTIONS] ...\n\n"
           "Neural networks whose weights are made on the spot from a few low-bit factors.\n\nverbs:\n");
    for (i = 0; i < tool_verb_count; i++) printf("  %-11s %s\n", tool_verbs[i].name, tool_verbs[i].summary);
    printf("\n  insitu VERB --help   options of a verb\n"
           "  insitu --version     version\n\n"
           "environment:\n"
           "  INSITU_ISA          instructions to use where --isa is not given\n"
           "  INSITU_PROFILES     folder of profiles that sim looks in first\n"
           "  INSITU_MPI_TIMEOUT  seconds without an answer after which training over MPI ends (default 1800)\n"
           "  XDG_CACHE_HOME      folder of the costs that bench --plan measures (default ~/.cache)\n\n"
           "exit codes: 0 ok, 1 runtime failure, 2 usage, 3 unsupported model, 4 invalid or corrupt file,\n"
           "            5 target missed, 130 interrupted\n");
    return tool_finish(t, EXIT_OK);
}

#ifdef __clang__
#define COMPILER __VERSION__ /* begins with its name */
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Scripts read the first line. */
static int print_version(tool *t)
{
    printf("insitu %s (file format %u.%u)\n", ISG_VERSION_STRING, ISG_FORMAT_MAJOR, ISG_FORMAT_MINOR);
#ifdef INSITU_COMMIT
    printf("commit        %s\n", INSITU_COMMIT);
#endif
    printf("compiler      %s\ninstructions ", COMPILER);
    tool_print_isa();
    return tool_finish(t, EXIT_OK);
}

int main(int argc, char **argv)
{
    tool t = {0};
    size_t i;
    int code;
    t.isa_mask = ISG_ISA_ALL;
    t.terminal = isatty(STDERR_FILENO);
    t.seed = 1;
    t.verb = "";
    tool_signals(0);
    if (argc < 2) return tool_usage_error(&t, "no verb given (see insitu --help)");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) return print_help(&t);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V") || !strcmp(argv[1], "version"))
        return print_version(&t);
    for (i = 0; i < tool_verb_count; i++) {
        if (strcmp(argv[1], tool_verbs[i].name)) continue;
        t.verb = tool_verbs[i].name;
        /* the verbs that ranks share; the others run as often as they are started */
        code = tool_verbs[i].run == cmd_train || tool_verbs[i].run == cmd_tune ? tool_ranks_start(&t) : EXIT_OK;
        if (code == EXIT_OK) code = tool_verbs[i].run(&t, &tool_verbs[i], argc - 2, argv + 2);
        tool_progress_end(&t);
        isg_pool_destroy(t.pool);
        return tool_ranks_end(&t, tool_finish(&t, code));
    }
    {
        char shown[80];
        return tool_usage_error(&t, "unknown verb '%s' (see insitu --help)",
                                tool_escape(shown, sizeof shown, argv[1], strlen(argv[1])));
    }
}
