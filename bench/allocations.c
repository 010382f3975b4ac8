// SPDX-License-Identifier: MIT
// Counts the heap allocations of a program: LD_PRELOAD this, and name a file in BENCH_ALLOCATIONS.
// Its first 8 bytes are the counter, mapped, so that another process can read it at any time.
// operator new is counted as it calls malloc. Without the variable it only forwards.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own names of its functions: dlsym would allocate before there is an allocator.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static uint64_t* counter; // null: nothing is counted

__attribute__((constructor)) static void map_counter(void) {
    const char* const name = getenv("BENCH_ALLOCATIONS");
    if (name == NULL)
        return;
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    void* mapped = MAP_FAILED;
    if (ftruncate(fd, sizeof *counter) == 0)
        mapped = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        counter = mapped;
}

static void count(void) {
    if (counter != NULL)
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

void* malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void* realloc(void* block, size_t size) {
    count();
    return __libc_realloc(block, size);
}

void* memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void** block, size_t alignment, size_t size) {
    if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void* const made = memalign(alignment, size);
    if (made == NULL)
        return ENOMEM;
    *block = made;
    return 0;
}
