// Reads jets from a text file and prints the probability of each class, a line for each jet.
//
//     g++ -O2 -std=c++17 main.cpp -o classify -lopenblas          (or: cmake -B build && cmake --build build)
//     ./classify jets.txt                                         prints
//     ./classify jets.txt probabilities.txt                       compares, and fails where they differ
//
// The first line of jets.txt names its columns, in any order: those of network.hxx must be among them, others are passed
// over. Every other line is a jet, with the values that the ntuple has: neither scaled nor with default values replaced,
// for the network does both itself. A jet that is a set of tracks has the columns once for each track, all in its line,
// and a jet without tracks is an empty line.
//
// Into a framework go network.hxx, model.hxx and model.dat, always of one and the same export, and of main() what follows.
// Two networks may be in one program: each has a namespace of its own.
//
//   Once, at the beginning of a job: make the network::Session. It reads the weights, which takes as long as hundreds
//     of jets.
//   For each jet: fill a vector by the names in network::inputs, in that order, and call session.infer(1, values.data()).
//     The result has the order of network::classes. For tracks: infer(number of tracks, values), track after track.
//   Threads: infer() keeps its intermediate results in the Session. Give each thread a Session of its own. A BLAS that
//     starts threads itself is slower with matrices as small as these: set OPENBLAS_NUM_THREADS=1.
//   Compiler: not -ffast-math, with which a value that was never measured (NaN) is no longer seen.
//   Test: the jets and probabilities in reference_jets.txt and reference_probabilities.txt, in the framework, through the
//     code that fills the vector. Inputs in another order, scaled twice or with other defaults give no error anywhere,
//     only other probabilities.

#include "network.hxx"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef __FAST_MATH__
#error "compile without -ffast-math: a value that was never measured (NaN) would not be seen"
#endif

namespace network = NAME_OF_NETWORK_network;

using Names = std::vector<std::string>;
using Values = std::vector<float>;

// The order of sums, and with it the last digits, depends on the BLAS: 1e-7 is usual.
const float tolerance = 1e-5f;

Names words(const std::string &line)
{
   std::istringstream stream(line);
   Names found;
   for (std::string word; stream >> word;)
      found.push_back(word);
   return found;
}

std::string joined(const Names &names)
{
   std::string text;
   for (const auto &name : names)
      text += (text.empty() ? "" : ", ") + name;
   return text;
}

float number(const std::string &word, const std::string &where)
{
   char *end = nullptr;
   const float value = std::strtof(word.c_str(), &end);
   if (*end != '\0')
      throw std::runtime_error(where + ": " + word + " is no number");
   if (!std::isfinite(value))
      throw std::runtime_error(where + ": " + word + " is not finite, or too large for a float; a value that is missing " +
                               "has a default value in the training, which belongs here");
   return value;
}

// Where each of the names stands among the columns.
std::vector<std::size_t> places(const Names &names, const Names &columns, const std::string &where)
{
   std::vector<std::size_t> found;
   Names missing;
   for (const auto &name : names) {
      const auto place = std::find(columns.begin(), columns.end(), name);
      if (place == columns.end())
         missing.push_back(name);
      else if (std::find(place + 1, columns.end(), name) != columns.end())
         throw std::runtime_error(where + ": two columns are called " + name);
      found.push_back(place - columns.begin());
   }
   if (!missing.empty())
      throw std::runtime_error(where + ": there is no column " + joined(missing) + "; the columns are " + joined(columns));
   return found;
}

// The values of these columns, in this order, for each line; with `repeat`, of every repetition of the columns in a line.
std::vector<Values> read(const std::string &path, const Names &names, bool repeat)
{
   std::ifstream file(path);
   std::string line;
   if (!std::getline(file, line))
      throw std::runtime_error(path + " cannot be read, or is empty");
   const Names columns = words(line);
   const auto columns_of_names = places(names, columns, path + ", line 1");
   std::vector<Values> jets;
   for (std::size_t number_of_line = 2; std::getline(file, line); ++number_of_line) {
      const std::string where = path + ", line " + std::to_string(number_of_line);
      const Names entries = words(line);
      if (repeat ? entries.size() % columns.size() != 0 : entries.size() != columns.size())
         throw std::runtime_error(where + ": " + std::to_string(entries.size()) + " values, but " +
                                  (repeat ? "a multiple of " : "") + std::to_string(columns.size()) + " columns");
      Values values;
      for (std::size_t first = 0; first < entries.size(); first += columns.size())
         for (std::size_t i = 0; i < names.size(); ++i)
            values.push_back(number(entries[first + columns_of_names[i]], where + ", column " + names[i]));
      jets.push_back(values);
   }
   if (file.bad())
      throw std::runtime_error(path + " cannot be read to its end");
   return jets;
}

void print(const std::vector<Values> &probabilities)
{
   for (std::size_t k = 0; k < network::classes.size(); ++k)
      std::printf("%s%s", k ? " " : "", network::classes[k].c_str());
   std::printf("\n");
   for (const auto &jet : probabilities) {
      for (std::size_t k = 0; k < jet.size(); ++k)
         std::printf("%s%.9g", k ? " " : "", jet[k]);  // nine digits give back the same float
      std::printf("\n");
   }
}

int compare(const std::vector<Values> &probabilities, const std::vector<Values> &expected)
{
   if (probabilities.size() != expected.size())
      throw std::runtime_error(std::to_string(probabilities.size()) + " jets, but the probabilities of " +
                               std::to_string(expected.size()));
   float largest = 0;
   std::size_t worst = 0, differ = 0;
   for (std::size_t i = 0; i < expected.size(); ++i) {
      float difference = 0;
      for (std::size_t k = 0; k < network::classes.size(); ++k) {
         const float one = std::fabs(probabilities[i][k] - expected[i][k]);
         difference = std::isnan(one) ? INFINITY : std::max(difference, one);
      }
      differ += difference > tolerance;
      if (difference > largest) {
         largest = difference;
         worst = i;
      }
   }
   std::printf("%zu jets, largest difference %.2g\n", expected.size(), largest);
   if (differ > 0)
      std::printf("%zu jets differ by more than %g, jet %zu in line %zu most\n", differ, tolerance, worst, worst + 2);
   return differ > 0;
}

int main(int argc, char **argv)
{
   if (argc != 2 && argc != 3) {
      std::cerr << "usage: " << argv[0] << " JETS [PROBABILITIES]\n";
      return 2;
   }
   try {
      const std::vector<Values> jets = read(argv[1], network::inputs, network::tracks);
      const std::size_t n_inputs = network::inputs.size();
      std::size_t most = 1; // rows of a jet: one, or its tracks
      for (const auto &jet : jets)
         most = std::max(most, jet.size() / n_inputs);

      const auto weights = std::filesystem::path(argv[0]).parent_path() / "model.dat"; // beside the program
      network::Session session(weights.string(), most);

      std::vector<Values> probabilities;
      for (const auto &jet : jets)
         probabilities.push_back(session.infer(jet.size() / n_inputs, jet.data()));

      if (argc == 3)
         return compare(probabilities, read(argv[2], network::classes, false));
      print(probabilities);
      return 0;
   } catch (const std::exception &error) {
      std::cerr << "Error: " << error.what() << "\n";
      return 1;
   }
}
