# Cross-compilation for 64-bit Arm, run under qemu-user: see ./dev neon, which fills TREVILLE_SYSROOT.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TREVILLE_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${TREVILLE_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# The packages' libraries need each other from the sysroot, and everything else from the compiler's own.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${TREVILLE_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=${TREVILLE_SYSROOT}/usr/lib/aarch64-linux-gnu)
