# Kernels for GPUs: the .cu files through nvcc, in builds with GESSO_CUDA (preset cuda). Code for sm_80 with its PTX, which
# the driver of a newer chip compiles, and for sm_90a; files for Hopper alone only there.
#
# gesso_gpu_kernels(TARGET HOPPER_TARGET SOURCES...): two OBJECT libraries. tools/ptxas runs each compilation: it fails
# where a kernel spills registers or the compiler warns, and keeps what ptxas said beside the object.
option(GESSO_CUDA "Build the kernels for GPUs; needs nvcc" OFF)
option(GESSO_VENDOR "Let bench ops compare with cuBLASLt and cuDNN 9; needs GESSO_CUDA" OFF)
if(GESSO_VENDOR AND NOT GESSO_CUDA)
  message(FATAL_ERROR "GESSO_VENDOR: NVIDIA's libraries need a GPU, and so GESSO_CUDA (preset cuda)")
endif()
if(NOT GESSO_CUDA)
  return()
endif()
if(GESSO_SANITIZE)
  message(FATAL_ERROR "GESSO_CUDA and GESSO_SANITIZE exclude each other: sanitizers do not know the GPU")
endif()

find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "GESSO_CUDA: there is no nvcc in PATH, CUDA_PATH or /usr/local/cuda; install the CUDA toolkit, or "
                      "use preset release, which runs the same kernels on the emulated device")
endif()
set(CMAKE_CUDA_ARCHITECTURES 80)  # of what names no other; a default would be older than nvcc 13 knows
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

# What benchmarks compare with; nothing else uses it. cuDNN loads the rest of itself when it is first asked.
if(GESSO_VENDOR)
  find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
  if(NOT TARGET CUDA::cublasLt OR NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
    message(FATAL_ERROR "GESSO_VENDOR: cuBLASLt or cuDNN 9 was not found with the toolkit (${CUDAToolkit_LIBRARY_DIR}); "
                        "install them, say where cuDNN is by CUDNN_INCLUDE_DIR and CUDNN_LIBRARY, or turn GESSO_VENDOR off")
  endif()
  file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h cudnn_major REGEX "define CUDNN_MAJOR 9")
  if(NOT cudnn_major)
    message(FATAL_ERROR "GESSO_VENDOR: ${CUDNN_INCLUDE_DIR}/cudnn.h is not of cuDNN 9; install that")
  endif()
  add_library(gesso_vendor INTERFACE)
  target_include_directories(gesso_vendor SYSTEM INTERFACE ${CUDNN_INCLUDE_DIR})
  target_link_libraries(gesso_vendor INTERFACE CUDA::cublasLt ${CUDNN_LIBRARY})
endif()

# Programs with these kernels are carried to machines that have a GPU and none of our packages (tools/gpu_check --pack):
# they need the C library and the driver there, nothing else.
set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
add_link_options(-static-libstdc++ -static-libgcc -Wl,--as-needed)

function(gesso_gpu_kernels target hopper_target)
  set(hopper ${ARGN})
  set(common ${ARGN})
  list(FILTER hopper INCLUDE REGEX "_wgmma\\.cu$")
  list(FILTER common EXCLUDE REGEX "_wgmma\\.cu$")
  add_library(${target} OBJECT ${common})
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "80;90a-real")
  add_library(${hopper_target} OBJECT ${hopper})
  set_target_properties(${hopper_target} PROPERTIES CUDA_ARCHITECTURES "90a-real")
  foreach(one ${target} ${hopper_target})
    target_include_directories(${one} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    set_target_properties(${one} PROPERTIES CUDA_COMPILER_LAUNCHER "${CMAKE_CURRENT_SOURCE_DIR}/tools/ptxas;run")
    # CMake 3.25 knows no C++20 of nvcc's. -lineinfo changes no instruction: profilers show source lines. No fast-math.
    target_compile_options(${one} PRIVATE -std=c++20 --expt-relaxed-constexpr -lineinfo -Xptxas=-v
                                          -Xcompiler=-Wall,-Wextra,-Wshadow
                                          $<$<BOOL:${GESSO_WERROR}>:-Werror=all-warnings>)
  endforeach()
endfunction()
