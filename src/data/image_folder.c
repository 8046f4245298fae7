/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of folders of images: one folder a class, sorted by name, so that the order is the same everywhere. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

#define FOLDER_MAX_ENTRIES (1u << 26)

typedef struct name_list {
    char **items;
    uint32_t count, capacity;
} name_list;

static void name_list_clear(name_list *list)
{
    uint32_t i;
    for (i = 0; i < list->count; i++) isg_free(list->items[i]);
    isg_free(list->items);
    memset(list, 0, sizeof *list);
}

/* Takes `name` (also on failure). */
static isg_status name_list_add(name_list *list, char *name, isg_error *err)
{
    if (name && list->count == list->capacity) {
        uint32_t wanted = list->capacity ? list->capacity * 2 : 64;
        char **items = wanted <= FOLDER_MAX_ENTRIES
                           ? isgi_realloc(list->items, list->count * sizeof *items, wanted * sizeof *items)
                           : NULL;
        if (!items) {
            isg_free(name);
            return isgi_nomem(err);
        }
        list->items = items;
        list->capacity = wanted;
    }
    if (!name) return isgi_nomem(err);
    list->items[list->count++] = name;
    return ISG_OK;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int name_is_image(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".png"));
}

/* Sorted names of the sub-folders (folders) or of the image files of `path`. Hidden entries are skipped. */
static isg_status folder_list(name_list *list, const char *path, int folders, isg_error *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    isg_status status = ISG_OK;
    if (!dir) return isgi_fail_errno(err, path);
    while (status == ISG_OK && (errno = 0, entry = readdir(dir)) != NULL) {
        struct stat info;
        char *full;
        int wanted;
        if (entry->d_name[0] == '.' || (!folders && !name_is_image(entry->d_name))) continue;
        full = isgi_data_join(path, entry->d_name);
        if (!full) {
            status = isgi_nomem(err);
            break;
        }
        wanted = stat(full, &info) == 0 && (folders ? S_ISDIR(info.st_mode) : S_ISREG(info.st_mode));
        isg_free(full);
        if (wanted) status = name_list_add(list, isgi_strdup(entry->d_name), err);
    }
    if (status == ISG_OK && errno) status = isgi_fail_errno(err, path);
    closedir(dir);
    if (status == ISG_OK && list->count) qsort(list->items, list->count, sizeof *list->items, name_compare);
    return status;
}

/* Digits only: the number, or -1 when it is too large; -2 for other names. */
static int32_t folder_number(const char *name)
{
    int32_t value = 0;
    const char *p;
    for (p = name; *p; p++) {
        if (*p < '0' || *p > '9') return -2;
        if (value >= 0) value = value > ISGI_DATA_MAX_LABEL / 10 ? -1 : value * 10 + (*p - '0');
    }
    return value > ISGI_DATA_MAX_LABEL ? -1 : value;
}

static isg_status folder_label(int32_t *label, const name_list *classes, uint32_t index, const char *path,
                               isg_error *err)
{
    int32_t number = folder_number(classes->items[index]);
    int numbered = number != -2, first = folder_number(classes->items[0]) != -2;
    char name[120];
    if (numbered != first)
        return isgi_fail(err, ISG_E_FORMAT, "%s: mixes folders named by number and by word",
                         isgi_escape(name, sizeof name, path));
    if (number == -1)
        return isgi_fail(err, ISG_E_FORMAT, "%s: folder number is too large", isgi_escape(name, sizeof name, path));
    *label = numbered ? number : (int32_t)index;
    return ISG_OK;
}

static isg_status folder_class(name_list *paths, int32_t **labels, uint64_t *label_capacity, const char *dir,
                               int32_t label, isg_error *err)
{
    name_list files = {0};
    isg_status status = folder_list(&files, dir, 0, err);
    uint32_t i;
    for (i = 0; status == ISG_OK && i < files.count; i++) {
        if (paths->count == *label_capacity) {
            uint64_t wanted = *label_capacity ? *label_capacity * 2 : 256;
            int32_t *grown =
                isgi_realloc(*labels, (size_t)*label_capacity * sizeof *grown, (size_t)wanted * sizeof *grown);
            if (!grown) {
                status = isgi_nomem(err);
                break;
            }
            *labels = grown;
            *label_capacity = wanted;
        }
        (*labels)[paths->count] = label;
        status = name_list_add(paths, isgi_data_join(dir, files.items[i]), err);
    }
    name_list_clear(&files);
    return status;
}

/* The common size of all images, from their headers; 0x0 as soon as two differ or one cannot be read. */
static void folder_size(isg_dataset *ds)
{
    uint64_t i;
    for (i = 0; i < ds->count; i++) {
        isg_file file;
        uint32_t width = 0, height = 0;
        if (isg_file_open(&file, ds->paths[i], NULL) == ISG_OK) {
            if (!file.size || !isgi_image_probe(file.data, file.size, &width, &height)) width = height = 0;
            isg_file_close(&file);
        }
        if (i == 0) {
            ds->width = width;
            ds->height = height;
        }
        if (width == 0 || width != ds->width || height != ds->height) {
            ds->width = ds->height = 0;
            return;
        }
    }
}

isg_status isgi_folder_open(isg_dataset *ds, const char *path, isg_error *err)
{
    name_list classes = {0}, paths = {0};
    uint64_t label_capacity = 0;
    uint32_t i;
    char name[120];
    isg_status status = folder_list(&classes, path, 1, err);
    if (status == ISG_OK && classes.count == 0)
        status = isgi_fail(err, ISG_E_FORMAT, "%s: no class folders", isgi_escape(name, sizeof name, path));
    for (i = 0; status == ISG_OK && i < classes.count; i++) {
        char *dir = isgi_data_join(path, classes.items[i]);
        int32_t label = 0;
        status = dir ? folder_label(&label, &classes, i, path, err) : isgi_nomem(err);
        if (status == ISG_OK) status = folder_class(&paths, &ds->labels, &label_capacity, dir, label, err);
        if (status == ISG_OK && (uint32_t)label >= ds->classes) ds->classes = (uint32_t)label + 1;
        isg_free(dir);
    }
    if (status == ISG_OK && paths.count == 0)
        status = isgi_fail(err, ISG_E_FORMAT, "%s: no JPEG or PNG files in its folders",
                           isgi_escape(name, sizeof name, path));
    if (status == ISG_OK) {
        ds->kind = ISGI_SET_FILES;
        ds->channels = 3;
        ds->paths = paths.items;
        ds->count = paths.count;
        memset(&paths, 0, sizeof paths);
        if (folder_number(classes.items[0]) == -2) {
            ds->names = classes.items;
            ds->name_count = classes.count;
            memset(&classes, 0, sizeof classes);
        }
        folder_size(ds);
    }
    name_list_clear(&classes);
    name_list_clear(&paths);
    return status;
}
