/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the decoders of rival methods: the first bytes choose method, setting and shape, the rest is decoded.
 */
#include <insitu/methods.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD 8u
#define MOST_NUMBERS 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "NAME:KEY=VALUE,..." with each value between its bounds. */
static void write_setting(char *text, size_t room, uint32_t index, const uint8_t *choice)
{
    const isg_method_param *p;
    size_t used = (size_t)snprintf(text, room, "%s", isg_method_name(index));
    for (uint32_t i = 0; (p = isg_method_param_at(index, i)) != NULL && used < room; i++) {
        double x = p->least + (p->most - p->least) * (double)choice[i % 3u] / 255.0;
        if (p->whole) x = floor(x);
        used += (size_t)snprintf(text + used, room - used, "%c%s=%.17g", i ? ',' : ':', p->name, x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    isg_method *m;
    isg_method_shape shape;
    isg_error err = {0};
    char text[256];
    float *w;
    size_t count;
    if (size < HEAD) return 0;
    write_setting(text, sizeof text, data[0] % isg_method_count(), data + 1);
    shape = (isg_method_shape){data[4] % 40u + 1u, data[5] % 40u + 1u, data[6] % 5u + 1u, data[7] % 5u + 1u};
    count = (size_t)shape.co * shape.ci * shape.kh * shape.kw;
    if (count > MOST_NUMBERS) return 0;
    if (isg_method_create(&m, text, &err) != ISG_OK) abort(); /* every setting between the bounds is one */
    w = malloc(count * sizeof *w);
    if (w && isg_method_fits(m, &shape) && isg_method_decode(m, &shape, data + HEAD, size - HEAD, w, &err) == ISG_OK) {
        for (size_t i = 0; i < count; i++)
            if (!isfinite(w[i])) abort();
    }
    free(w);
    isg_method_destroy(m);
    return 0;
}
