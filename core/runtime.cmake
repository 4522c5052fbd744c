# libplimsoll_runtime.so: pools of KV pages, memory and ops of a device, loader, executor, generation. A host that only plans links nothing
# of it. Included by CMakeLists.txt.
find_path(PLIMSOLL_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas-pthread openblas REQUIRED)
find_library(PLIMSOLL_OPENBLAS openblas PATH_SUFFIXES openblas-pthread REQUIRED)
find_library(PLIMSOLL_PCRE2 pcre2-8 REQUIRED)
find_library(PLIMSOLL_UTF8PROC utf8proc REQUIRED)
set(PLIMSOLL_RUNTIME_LIBRARIES ${PLIMSOLL_OPENBLAS} ${PLIMSOLL_PCRE2} ${PLIMSOLL_UTF8PROC})

add_rooms(plimsoll_runtime_objects ${PLIMSOLL_RUNTIME_SOURCES})
target_include_directories(plimsoll_runtime_objects SYSTEM PRIVATE ${PLIMSOLL_CBLAS_INCLUDE})
target_link_libraries(plimsoll_runtime_objects PRIVATE ${PLIMSOLL_RUNTIME_LIBRARIES})
if(PLIMSOLL_PCH)
  target_precompile_headers(plimsoll_runtime_objects REUSE_FROM plimsoll_objects)
endif()

add_library(plimsoll_runtime SHARED $<TARGET_OBJECTS:plimsoll_runtime_objects> $<TARGET_OBJECTS:plimsoll_file_objects>)
target_include_directories(plimsoll_runtime PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(plimsoll_runtime PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PLIMSOLL_SOVERSION} INSTALL_RPATH "$ORIGIN")
target_link_libraries(plimsoll_runtime PUBLIC plimsoll PRIVATE fmt::fmt yaml-cpp simdjson::simdjson Threads::Threads ${PLIMSOLL_RUNTIME_LIBRARIES} ${CMAKE_DL_LIBS})

# Ranks as processes: a library of its own, loaded where mpirun started a program, so that nothing else links MPI.
option(PLIMSOLL_MPI "Build libplimsoll_mpi.so where MPI is found" ON)
if(PLIMSOLL_MPI)
  find_package(MPI QUIET COMPONENTS C)
endif()
if(PLIMSOLL_MPI AND MPI_C_FOUND) # CMake 3.25 makes the target where there is no MPI too
  message(STATUS "plimsoll: MPI ${MPI_C_VERSION} found, ranks can be processes")
  add_library(plimsoll_mpi MODULE src/mpi/mpi_job.cpp)
  target_include_directories(plimsoll_mpi PRIVATE src)
  target_compile_definitions(plimsoll_mpi PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX) # the old C++ names
  target_link_libraries(plimsoll_mpi PRIVATE MPI::MPI_C)
  target_link_options(plimsoll_mpi PRIVATE LINKER:-soname,libplimsoll_mpi.so) # it stands among libraries
  add_dependencies(plimsoll_runtime plimsoll_mpi)
else()
  message(STATUS "plimsoll: no MPI, ranks are threads")
endif()

# GPUs: a library of its own as well, so that nothing else links CUDA. Sanitizers see nothing of it.
set(plimsoll_has_nvcc FALSE)
if(PLIMSOLL_CUDA AND TARGET CUDA::cublas AND NOT PLIMSOLL_SANITIZE AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.3)
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPUs that libplimsoll_cuda.so is compiled for")
  if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(plimsoll_has_nvcc TRUE)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # CMake 3.25 does not know that nvcc can
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
  endif()
endif()
if(plimsoll_has_nvcc)
  message(STATUS "plimsoll: nvcc ${CMAKE_CUDA_COMPILER_VERSION} found, models can be computed on GPUs")
  add_library(plimsoll_cuda MODULE src/backend_cuda/cuda_device.cu)
  target_include_directories(plimsoll_cuda PRIVATE src include)
  # Flags of GCC's that say nothing of what nvcc writes: its lines are no lines of ISO C++.
  set(host_warnings -Wall,-Wextra,-Wconversion,-Wsign-conversion)
  target_compile_options(plimsoll_cuda PRIVATE --expt-relaxed-constexpr "-Xcompiler=${host_warnings}"
    $<$<BOOL:${PLIMSOLL_WERROR}>:-Xcompiler=-Werror> $<$<BOOL:${PLIMSOLL_WERROR}>:-Werror=all-warnings>)
  set_target_properties(plimsoll_cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static
    UNITY_BUILD OFF)
  target_link_libraries(plimsoll_cuda PRIVATE plimsoll_abi tl::expected CUDA::cublas CUDA::cudart_static)
  add_dependencies(plimsoll_runtime plimsoll_cuda)
else()
  message(STATUS "plimsoll: no nvcc of CUDA 12.3 or newer with cuBLAS, models are computed on processors")
endif()

# The rooms of both libraries, for unit tests.
add_library(plimsoll_runtime_rooms INTERFACE)
target_sources(plimsoll_runtime_rooms INTERFACE $<TARGET_OBJECTS:plimsoll_runtime_objects>)
target_link_libraries(plimsoll_runtime_rooms INTERFACE plimsoll_rooms ${PLIMSOLL_RUNTIME_LIBRARIES})
