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
if(TARGET MPI::MPI_C)
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

# The rooms of both libraries, for unit tests.
add_library(plimsoll_runtime_rooms INTERFACE)
target_sources(plimsoll_runtime_rooms INTERFACE $<TARGET_OBJECTS:plimsoll_runtime_objects>)
target_link_libraries(plimsoll_runtime_rooms INTERFACE plimsoll_rooms ${PLIMSOLL_RUNTIME_LIBRARIES})
