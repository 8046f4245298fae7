/* SPDX-License-Identifier: Apache-2.0 */
/* C source of a model: the text of the header and of the source. In templates @ is the prefix, $ the same in
 * capitals. */
#include <insitu/host.h>
#include <insitu/version.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "pack/c_source.h"

/* "input" or, where there are several, "input0". */
typedef struct io_name {
    char lower[16], upper[16];
} io_name;

static io_name name_of(const isgi_c_network *n, int output, uint32_t index)
{
    io_name name;
    char number[12] = "";
    if (n->counts[output] > 1) snprintf(number, sizeof number, "%u", index);
    snprintf(name.lower, sizeof name.lower, "%s%.3s", output ? "output" : "input", number);
    snprintf(name.upper, sizeof name.upper, "%s%.3s", output ? "OUTPUT" : "INPUT", number);
    return name;
}

static void put_title(isgi_c_text *t, const isgi_c_network *n, const char *what)
{
    uint8_t hash[32];
    char hex[65];
    const char *license = isg_model_get_meta(n->model)->license;
    isg_sha256(hash, n->image, n->image_bytes);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    isgi_c_text_put(t, "/* Licence of the model: ");
    if (license)
        isgi_c_text_comment(t, license, 80);
    else
        isgi_c_text_put(t, "its file names none");
    isgi_c_text_put(t, ". The code around its bytes: Apache-2.0.\n");
    isgi_c_text_format(t, " * %s by insitu " ISG_VERSION_STRING " (insitu export --c); not to be edited.\n", what);
    isgi_c_text_format(t, " * SHA-256 of the model: %s */\n", hex);
}

/* ---- the header ---- */

static void put_alignment(isgi_c_text *t)
{
    isgi_c_text_put(t, "\n/* What makes an object begin at a multiple of 64 bytes, in front of its declaration. */\n"
                       "#if defined($_ALIGNED)\n"
                       "#elif defined(__cplusplus) && __cplusplus >= 201103L\n"
                       "#define $_ALIGNED alignas(64)\n"
                       "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n"
                       "#define $_ALIGNED _Alignas(64)\n"
                       "#elif defined(__GNUC__)\n"
                       "#define $_ALIGNED __attribute__((aligned(64)))\n"
                       "#elif defined(_MSC_VER)\n"
                       "#define $_ALIGNED __declspec(align(64))\n"
                       "#else\n"
                       "#error \"define $_ALIGNED as what aligns an object to 64 bytes with this compiler\"\n"
                       "#endif\n");
}

static void put_io(isgi_c_text *t, const isgi_c_network *n, int output, uint32_t index)
{
    const isg_rt_io *io = &n->io[output][index];
    const io_name name = name_of(n, output, index);
    isgi_c_text_format(t, "#define $_%s_NAME ", name.upper);
    isgi_c_text_string(t, io->name, io->name_bytes);
    isgi_c_text_format(t, "\n#define $_%s_RANK %u\n#define $_%s_SHAPE {", name.upper, io->rank, name.upper);
    for (uint32_t d = 0; d < io->rank; d++) isgi_c_text_format(t, "%s%u", d ? ", " : "", io->dims[d] ? io->dims[d] : 1);
    isgi_c_text_format(t, "}\n#define $_%s_FLOATS %lluu\n", name.upper, (unsigned long long)isgi_c_floats(io));
}

static void put_shapes(isgi_c_text *t, const isgi_c_network *n)
{
    static const char *const modes[] = {"ISG_MODE_F32", "ISG_MODE_INT8", "ISG_MODE_BF16"};
    isgi_c_text_format(t, "\n/* The numbers that it computes in. */\n#define $_MODE %s\n", modes[n->mode]);
    isgi_c_text_put(t, "\n/* What goes in and comes out: float numbers, the last dimension fastest. The batch is 1\n"
                       " * unless the network itself fixes another. */\n");
    for (int k = 0; k < 2; k++) {
        isgi_c_text_format(t, "#define $_%sS %u\n", k ? "OUTPUT" : "INPUT", n->counts[k]);
        for (uint32_t i = 0; i < n->counts[k]; i++) put_io(t, n, k, i);
    }
}

static void put_channels(isgi_c_text *t, const char *what, const float *values, uint32_t channels, float zero)
{
    isgi_c_text_format(t, "#define $_INPUT_%s {", what);
    for (uint32_t c = 0; c < channels; c++) {
        if (c) isgi_c_text_put(t, ", ");
        isgi_c_text_float(t, values[c] == 0.0f ? zero : values[c]);
    }
    isgi_c_text_put(t, "}\n");
}

/* Mean and deviation of the first input's channels, of which the contract knows four. */
static uint32_t channels_of(const isg_rt_io *io, int nhwc)
{
    const uint32_t channels = io->rank == 4 ? io->dims[nhwc ? 3 : 1] : 4;
    return channels >= 1 && channels <= 4 ? channels : 4;
}

static void put_contract(isgi_c_text *t, const isgi_c_network *n)
{
    const isg_input_spec *spec = &isg_model_get_meta(n->model)->input;
    const io_name name = name_of(n, 0, 0);
    if (!spec->given) {
        isgi_c_text_put(t, "\n/* The model's file does not say what its inputs mean. */\n#define $_INPUT_CONTRACT 0\n");
        return;
    }
    isgi_c_text_put(t, "\n/* What the model was made for, as its file says. ");
    if (spec->identity) {
        isgi_c_text_put(t, "Numbers are fed as they are.\n");
    } else {
        isgi_c_text_put(t, "Each number that is fed comes from a pixel of 0 to 255:\n");
        isgi_c_text_format(
            t, " *   %s[i] = (pixel * $_INPUT_SCALE - mean[c]) / std[c], mean and std as below, c the channel.\n",
            name.lower);
    }
    isgi_c_text_format(t, " * Channels: %s, %s.", spec->bgr ? "blue, green, red" : "red, green, blue (or grey)",
                       spec->nhwc ? "together pixel by pixel" : "one whole plane after the other");
    if (spec->resize) isgi_c_text_format(t, "\n * Before that the shorter side is made %u pixels.", spec->resize);
    if (spec->crop) isgi_c_text_format(t, "\n * The middle %ux%u pixels are cut out of it.", spec->crop, spec->crop);
    isgi_c_text_put(t, " */\n#define $_INPUT_CONTRACT 1\n#define $_INPUT_SCALE ");
    isgi_c_text_float(t, spec->scale == 0.0f ? 1.0f : spec->scale);
    isgi_c_text_put(t, "\n");
    put_channels(t, "MEAN", spec->mean, channels_of(&n->io[0][0], spec->nhwc), 0.0f);
    put_channels(t, "STD", spec->std, channels_of(&n->io[0][0], spec->nhwc), 1.0f);
    isgi_c_text_format(t,
                       "#define $_INPUT_IDENTITY %u /* 1: no scaling at all */\n#define $_INPUT_BGR %u\n"
                       "#define $_INPUT_NHWC %u\n#define $_INPUT_RESIZE %u\n#define $_INPUT_CROP %u\n",
                       spec->identity, spec->bgr, spec->nhwc, spec->resize, spec->crop);
}

static void put_classes(isgi_c_text *t, const isgi_c_network *n)
{
    const isg_model_meta *meta = isg_model_get_meta(n->model);
    isgi_c_text_format(
        t, "\n/* Classes that the file names%s; class i is number i + $_LABEL_OFFSET of the first output. */\n",
        meta->class_count ? "" : ": none");
    isgi_c_text_format(t, "#define $_CLASSES %u\n#define $_LABEL_OFFSET %d\n", meta->class_count, meta->label_offset);
}

/* The sets that the wrapper may use, in words. */
static void put_sets(isgi_c_text *t, uint32_t isa)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } sets[] = {
        {ISG_ISA_NEON, "NEON"},      {ISG_ISA_NEONDOT, "NEON's dot products"}, {ISG_ISA_AVX2, "AVX2"},
        {ISG_ISA_AVX512, "AVX-512"}, {ISG_ISA_AVX512VNNI, "AVX-512 VNNI"},     {ISG_ISA_AVX512BF16, "AVX-512 BF16"}};
    isgi_c_text_put(t, "plain C");
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (isa & sets[i].bit) isgi_c_text_format(t, ", %s", sets[i].name);
}

static void put_memory(isgi_c_text *t, const isgi_c_network *n)
{
    isgi_c_text_put(
        t, "\n/* Memory in bytes: of the image, which is constant; of the workspace; of one for the self-test.\n"
           " * The workspace does for what this file allows and the CPU has: ");
    put_sets(t, n->isa);
    isgi_c_text_put(
        t, ".\n"
           " * It is exact with pointers of 64 bits. With 32 bits a little less does, and a big-endian machine,\n"
           " * which converts numbers there, needs more: $_WORKSPACE_BYTES may be defined as what\n"
           " * @_workspace_bytes() gives there, and on a big-endian machine must be.\n"
           " * Stack: some 32 kB for that and @_init(), 22 kB for @_run(). */\n");
    isgi_c_text_format(t, "#define $_IMAGE_BYTES %zuu\n", n->image_bytes);
    isgi_c_text_put(t, "#if defined($_WORKSPACE_BYTES)\n"
                       "#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__\n");
    if (n->workspace_neon != n->workspace)
        isgi_c_text_format(t, "#elif defined(__aarch64__)\n#define $_WORKSPACE_BYTES %lluu\n",
                           (unsigned long long)n->workspace_neon);
    isgi_c_text_format(t, "#else\n#define $_WORKSPACE_BYTES %lluu\n#endif\n", (unsigned long long)n->workspace);
    isgi_c_text_format(t, "#define $_SELFTEST_BYTES ($_WORKSPACE_BYTES + %lluu)\n",
                       4ull * (unsigned long long)(n->floats[0] + n->floats[1]));
}

/* What @_run() takes, behind its workspace. */
static void put_arguments(isgi_c_text *t, const isgi_c_network *n)
{
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < n->counts[k]; i++) {
            const io_name name = name_of(n, k, i);
            isgi_c_text_format(t, ",\n    %sfloat *%s /* [$_%s_FLOATS] */", k ? "" : "const ", name.lower, name.upper);
        }
    }
}

static void put_selftest_promise(isgi_c_text *t, const isgi_c_network *n)
{
    if (!n->golden && !n->wanted) {
        isgi_c_text_put(t, "/* The network is too large for one, or has results without number: always "
                           "ISG_E_UNSUPPORTED. */\n");
        return;
    }
    isgi_c_text_put(t, "/* As @_init(), in $_SELFTEST_BYTES; then runs the network on noise and compares with\n");
    isgi_c_text_put(
        t, n->golden ? " * what its maker got, which the model carries.\n"
                     : " * what plain C got in this mode, from which plain C differs by 0 unless its compiler may\n"
                       " * change sums.\n");
    isgi_c_text_format(
        t,
        " * *largest_error (may be null) is the largest difference. Errors: those of @_init(), ISG_E_NUMERIC\n"
        " * (more than %g of the largest output, or than that where the largest is below 1). */\n",
        n->tolerance);
}

static void put_functions(isgi_c_text *t, const isgi_c_network *n)
{
    isgi_c_text_put(
        t, "\n/* Makes the network in `workspace`, which begins at a multiple of 64 bytes:\n"
           " *   $_ALIGNED static unsigned char memory[$_WORKSPACE_BYTES];\n"
           " *   status = @_init(memory, sizeof memory);\n"
           " * It stays there until the memory is used for something else and needs no clean-up. Two workspaces "
           "hold two\n"
           " * networks, which may run at the same time. Every byte of the image is checked first. Errors: "
           "ISG_E_WORKSPACE\n"
           " * (too small or not aligned); others mean a damaged image, or another runtime than insitu "
           "" ISG_VERSION_STRING "'s. */\n"
           "ISG_NODISCARD isg_status @_init(void *workspace, size_t bytes);\n\n"
           "/* Runs the network once. Error: ISG_E_ARG (a null pointer, or memory without this network). */\n"
           "ISG_NODISCARD isg_status @_run(void *workspace");
    put_arguments(t, n);
    isgi_c_text_put(t, ");\n\n"
                       "/* The bytes that @_init() needs on this machine, exactly; 0 where the image is damaged. */\n"
                       "size_t @_workspace_bytes(void);\n\n");
    put_selftest_promise(t, n);
    isgi_c_text_put(t, "ISG_NODISCARD isg_status @_selftest(void *workspace, size_t bytes, float *largest_error);\n");
    if (isg_model_get_meta(n->model)->class_count)
        isgi_c_text_put(
            t, "\n/* The name of a class as the file has it, UTF-8 as a rule; null where index is no class. */\n"
               "const char *@_class_name(uint32_t index);\n");
}

/* All that the source depends on stands in the header: the model's hash, the mode, the instructions. */
static void put_pair(isgi_c_text *t, isgi_c_network *n)
{
    uint8_t hash[32];
    if (t->status != ISG_OK) return;
    isg_sha256(hash, t->text.data, t->text.size);
    n->pair = isgi_load_u32(hash);
    isgi_c_text_put(t, "\n/* The source compiles with the header that was written with it, and with no other. */\n");
    isgi_c_text_format(t, "#define $_PAIR 0x%08lxu\n", (unsigned long)n->pair);
}

void isgi_c_write_header(isgi_c_text *t, isgi_c_network *n)
{
    put_title(t, n, "A network as C, for insitu/rt.h: written");
    isgi_c_text_put(t,
                    "#ifndef $_H\n#define $_H\n\n#include <insitu/rt.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
                    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    put_alignment(t);
    put_shapes(t, n);
    put_contract(t, n);
    put_classes(t, n);
    put_memory(t, n);
    put_functions(t, n);
    put_pair(t, n);
    isgi_c_text_put(t, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

/* ---- the source ---- */

static void put_options(isgi_c_text *t, const isgi_c_network *n)
{
    isgi_c_text_format(t,
                       "\n/* What lies at the front of a workspace; the runtime has the rest. */\n#define $_HEAD %uu\n",
                       ISGI_C_HEAD);
    isgi_c_text_put(t, "typedef struct @_instance {\n"
                       "    const unsigned char *image; /* tells a workspace of this network from other memory */\n"
                       "    isg_rt_context *context;\n"
                       "} @_instance;\n\n"
                       "static isg_rt_options @_options(void)\n"
                       "{\n"
                       "    isg_rt_options options = ISG_RT_OPTIONS_INIT;\n");
    isgi_c_text_format(t, "    options.isa_mask = 0x%xu; /* isg_isa: ", n->isa);
    put_sets(t, n->isa);
    isgi_c_text_put(t, " */\n    options.mode = $_MODE;\n    return options;\n}\n");
}

static void put_init(isgi_c_text *t)
{
    isgi_c_text_put(
        t, "\nsize_t @_workspace_bytes(void)\n"
           "{\n"
           "    const isg_rt_options options = @_options();\n"
           "    isg_rt_model model;\n"
           "    isg_rt_memory memory;\n"
           "    if (isg_rt_open(&model, @_image, sizeof @_image, NULL) != ISG_OK ||\n"
           "        isg_rt_plan(&model, &options, &memory, NULL) != ISG_OK)\n"
           "        return 0;\n"
           "    return (size_t)memory.workspace_bytes + $_HEAD;\n"
           "}\n"
           "\nisg_status @_init(void *workspace, size_t bytes)\n"
           "{\n"
           "    const isg_rt_options options = @_options();\n"
           "    @_instance *self = (@_instance *)workspace;\n"
           "    isg_rt_model model;\n"
           "    isg_status status;\n"
           "    if (!workspace || (uintptr_t)workspace % ISG_RT_ALIGNMENT || bytes < $_HEAD) return ISG_E_WORKSPACE;\n"
           "    self->image = NULL;\n"
           "    status = isg_rt_open(&model, @_image, sizeof @_image, NULL);\n"
           "    if (status == ISG_OK)\n"
           "        status = isg_rt_context_init(&self->context, (unsigned char *)workspace + $_HEAD,\n"
           "                                     bytes - $_HEAD, &model, &options, NULL);\n"
           "    if (status == ISG_OK) self->image = @_image;\n"
           "    return status;\n"
           "}\n");
}

static void put_run(isgi_c_text *t, const isgi_c_network *n)
{
    isgi_c_text_put(t, "\nisg_status @_run(void *workspace");
    put_arguments(t, n);
    isgi_c_text_put(
        t, ")\n{\n    const @_instance *self = (const @_instance *)workspace;\n"
           "    const float *inputs[$_INPUTS];\n    float *outputs[$_OUTPUTS];\n"
           "    if (!self || (uintptr_t)workspace % ISG_RT_ALIGNMENT || self->image != @_image) return ISG_E_ARG;\n");
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < n->counts[k]; i++)
            isgi_c_text_format(t, "    %sputs[%u] = %s;\n", k ? "out" : "in", i, name_of(n, k, i).lower);
    isgi_c_text_put(t, "    return isg_rt_run(self->context, inputs, outputs, NULL);\n}\n");
}

/* The arguments of @_run() inside one array of all inputs and one of all outputs. */
static void put_places(isgi_c_text *t, const isgi_c_network *n)
{
    for (int k = 0; k < 2; k++) {
        uint64_t at = 0;
        for (uint32_t i = 0; i < n->counts[k]; i++) {
            isgi_c_text_format(t, ", %s + %llu", k ? "out" : "in", (unsigned long long)at);
            at += isgi_c_floats(&n->io[k][i]);
        }
    }
}

/* $_WANTED(i): the bits of output i. */
static void put_wanted(isgi_c_text *t, const isgi_c_network *n)
{
    const uint64_t count = n->floats[1];
    if (n->golden) {
        isgi_c_text_format(t,
                           "\n/* The image holds what is expected of the self-test. */\n"
                           "#define $_WANTED(i) @_u32(@_image + %zu + 4 * (i))\n"
                           "static uint32_t @_u32(const unsigned char *p)\n",
                           (size_t)(n->golden - n->image) + ISG_FORMAT_GOLDEN_HEADER_BYTES);
        isgi_c_text_put(
            t, "{\n"
               "    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;\n"
               "}\n");
        return;
    }
    isgi_c_text_put(t, "\n/* What is expected of the self-test, as bits. */\n#define $_WANTED(i) @_wanted[i]\n"
                       "static const uint32_t @_wanted[$_OUT] = {");
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &n->wanted[i], sizeof bits);
        isgi_c_text_format(t, "%s0x%08lxu%s", i % 8 ? " " : "\n    ", (unsigned long)bits, i + 1 < count ? "," : "\n");
    }
    isgi_c_text_put(t, "};\n");
}

static void put_selftest(isgi_c_text *t, const isgi_c_network *n)
{
    isgi_c_text_format(t, "\n#define $_IN %lluu\n#define $_OUT %lluu\n", (unsigned long long)n->floats[0],
                       (unsigned long long)n->floats[1]);
    put_wanted(t, n);
    isgi_c_text_put(t, "\nisg_status @_selftest(void *workspace, size_t bytes, float *largest_error)\n"
                       "{\n"
                       "    const size_t floats = sizeof(float) * ($_IN + $_OUT);\n");
    isgi_c_text_format(t, "    uint64_t seed = (uint64_t)0x%08lxu << 32 | 0x%08lxu;\n", (unsigned long)(n->seed >> 32),
                       (unsigned long)(n->seed & 0xffffffffu));
    isgi_c_text_put(t, "    float *in, *out, worst = 0.0f, largest = 1.0f;\n"
                       "    size_t i;\n"
                       "    isg_status status;\n"
                       "    if (bytes < floats) return ISG_E_WORKSPACE;\n"
                       "    bytes = (bytes - floats) / ISG_RT_ALIGNMENT * ISG_RT_ALIGNMENT;\n"
                       "    status = @_init(workspace, bytes);\n"
                       "    if (status != ISG_OK) return status;\n"
                       "    in = (float *)(void *)((unsigned char *)workspace + bytes);\n"
                       "    out = in + $_IN;\n"
                       "    for (i = 0; i < $_IN; i++) in[i] = isg_golden_next(&seed);\n"
                       "    status = @_run(workspace");
    put_places(t, n);
    isgi_c_text_put(t,
                    ");\n"
                    "    if (status != ISG_OK) return status;\n"
                    "    for (i = 0; i < $_OUT; i++) {\n"
                    "        const uint32_t bits = $_WANTED(i);\n"
                    "        float wanted, error;\n"
                    "        memcpy(&wanted, &bits, sizeof wanted);\n"
                    "        error = out[i] > wanted ? out[i] - wanted : wanted - out[i];\n"
                    "        if (!(error <= worst)) worst = error <= FLT_MAX ? error : FLT_MAX; /* no number, too */\n"
                    "        if (wanted > largest) largest = wanted;\n"
                    "        if (-wanted > largest) largest = -wanted;\n"
                    "    }\n"
                    "    if (largest_error) *largest_error = worst;\n"
                    "    return worst <= largest * ");
    isgi_c_text_float(t, (float)n->tolerance);
    isgi_c_text_put(t, " ? ISG_OK : ISG_E_NUMERIC;\n}\n");
}

static void put_no_selftest(isgi_c_text *t)
{
    isgi_c_text_put(t, "\nisg_status @_selftest(void *workspace, size_t bytes, float *largest_error)\n"
                       "{\n"
                       "    (void)workspace;\n"
                       "    (void)bytes;\n"
                       "    (void)largest_error;\n"
                       "    return ISG_E_UNSUPPORTED;\n"
                       "}\n");
}

/* All names one after the other, without a pointer that a loader would have to write. */
static void put_class_names(isgi_c_text *t, const isgi_c_network *n)
{
    const uint32_t count = isg_model_get_meta(n->model)->class_count;
    if (!count) return;
    isgi_c_text_put(t, "\nstatic const struct {\n");
    for (uint32_t i = 0; i < count; i++)
        isgi_c_text_format(t, "    char n%u[%zu];\n", i, strlen(isg_model_class_name(n->model, i)) + 1);
    isgi_c_text_put(t, "} @_names = {\n");
    for (uint32_t i = 0; i < count; i++) {
        const char *name = isg_model_class_name(n->model, i);
        isgi_c_text_put(t, "    ");
        isgi_c_text_string(t, name, strlen(name));
        isgi_c_text_put(t, ",\n");
    }
    isgi_c_text_put(t, "};\n"
                       "\nconst char *@_class_name(uint32_t index)\n"
                       "{\n"
                       "    const char *name = (const char *)&@_names;\n"
                       "    if (index >= $_CLASSES) return NULL;\n"
                       "    while (index > 0)\n"
                       "        if (!*name++) index--;\n"
                       "    return name;\n"
                       "}\n");
}

static void put_main(isgi_c_text *t)
{
    isgi_c_text_put(
        t, "\n#ifdef $_MAIN\n"
           "#include <stdio.h>\n\n"
           "int main(void)\n"
           "{\n"
           "    $_ALIGNED static unsigned char workspace[$_SELFTEST_BYTES];\n"
           "    float error = 0.0f;\n"
           "    const isg_status status = @_selftest(workspace, sizeof workspace, &error);\n"
           "    if (status == ISG_OK || status == ISG_E_NUMERIC)\n"
           "        printf(\"%s: largest difference %g\\n\", status == ISG_OK ? \"ok\" : \"failed\", (double)error);\n"
           "    else\n"
           "        printf(\"failed: %s\\n\", isg_status_text(status));\n"
           "    printf(\"workspace: %lu of %lu bytes\\n\", (unsigned long)@_workspace_bytes(),\n"
           "           (unsigned long)$_WORKSPACE_BYTES);\n"
           "    return status != ISG_OK;\n"
           "}\n"
           "#endif\n");
}

void isgi_c_write_source(isgi_c_text *t, const isgi_c_network *n)
{
    put_title(t, n, "A network as C: written");
    isgi_c_text_format(t,
                       "/* Goes with libinsitu_rt alone. With $_MAIN defined it is a program that tests itself. */\n");
    isgi_c_text_put(t, "#include \"");
    isgi_c_text_put(t, n->header);
    isgi_c_text_format(t, "\"\n#if $_PAIR != 0x%08lxu\n#error \"", (unsigned long)n->pair);
    isgi_c_text_put(t, n->header);
    isgi_c_text_put(t, " was written with another file than this one: export the model again\"\n#endif\n"
                       "\n#include <float.h>\n#include <insitu/format.h>\n#include <string.h>\n\n"
                       "/* The .isg file, byte by byte. */\n"
                       "$_ALIGNED static const unsigned char @_image[$_IMAGE_BYTES] = {\n");
    isgi_c_text_bytes(t, n->image, n->image_bytes);
    isgi_c_text_put(t, "};\n");
    put_options(t, n);
    put_init(t);
    put_run(t, n);
    if (n->golden || n->wanted)
        put_selftest(t, n);
    else
        put_no_selftest(t);
    put_class_names(t, n);
    put_main(t);
}
