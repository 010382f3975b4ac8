// SPDX-License-Identifier: MIT
// without_io_uring PROGRAM ARGUMENT...: runs it where the kernel refuses io_uring with EPERM.
#include "../support/refused_system_calls.hpp"

#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
    if (argc < 2)
        return 2;
    ringtls::test::refuse(ringtls::test::all_of_io_uring, EPERM);
    ::execv(argv[1], argv + 1);
    std::perror(argv[1]);
    return 1;
}
