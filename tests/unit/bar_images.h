/* SPDX-License-Identifier: Apache-2.0 */
/* A folder with a training set in IDX files: ten classes of square images, a bright bar whose row is the class. */
#ifndef INSITU_TESTS_BAR_IMAGES_H
#define INSITU_TESTS_BAR_IMAGES_H

#include "host/rng.h"
#include "temp_folder.h"

static void put_be32(FILE *f, uint32_t v)
{
    for (int s = 24; s >= 0; s -= 8) fputc((int)(v >> s & 255), f);
}

/* In noise; the bar of class 0 is in row `first`. Prints the seed. */
static int make_bar_images(void **state, uint32_t seed, uint32_t images, uint32_t side, uint32_t first)
{
    isgi_rng rng;
    FILE *x, *y;
    if (make_folder(state) != 0) return -1;
    x = fopen(in_folder("train-images-idx3-ubyte"), "wb");
    y = fopen(in_folder("train-labels-idx1-ubyte"), "wb");
    if (!x || !y) return -1;
    isgi_rng_seed(&rng, seed, 0);
    put_be32(x, 0x803);
    put_be32(x, images);
    put_be32(x, side);
    put_be32(x, side);
    put_be32(y, 0x801);
    put_be32(y, images);
    for (uint32_t i = 0; i < images; i++) {
        for (uint32_t p = 0; p < side * side; p++) {
            const int bar = p / side == i % 10 + first;
            fputc((int)isgi_rng_below(&rng, 80) + (bar ? 150 : 0), x);
        }
        fputc((int)(i % 10), y);
    }
    fclose(x);
    fclose(y);
    print_message("seed %u\n", seed);
    return 0;
}

#endif
