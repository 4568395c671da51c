// Evaluates the JSON of lwtnn in standard C++17, written from its schema and without lwtnn or coursekit:
//
//     lwtnn_reader network.json jets.txt
//
// The first line of jets.txt names the branches, in any order. For a network in the sequential form each further line
// is a jet; in the graph form a line with the number of tracks of a jet stands before the lines of its tracks.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Numbers = std::vector<double>;
using Map = std::map<std::string, double>;

// JSON without escapes: the names that coursekit writes need none.
struct Value {
  double number = 0;
  std::string text;
  std::vector<Value> items;  // of a list, or the values of an object
  std::vector<std::string> keys;

  bool has(const std::string& key) const { return std::find(keys.begin(), keys.end(), key) != keys.end(); }
  const Value& at(const std::string& key) const {
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end()) throw std::runtime_error("the network has no " + key);
    return items.at(found - keys.begin());
  }
};

class Parser {
 public:
  explicit Parser(std::istream& in) : m_in(in) {}
  Value value() {
    Value out;
    const char first = next();
    if (first == '{' || first == '[') {
      const char last = first == '{' ? '}' : ']';
      while (peek() != last) {
        if (first == '{') {
          out.keys.push_back(text(next()));
          expect(':');
        }
        out.items.push_back(value());
        if (peek() != last) expect(',');
      }
      next();
    } else if (first == '"') {
      out.text = text(first);
    } else {
      m_in.unget();
      if (!(m_in >> out.number)) throw std::runtime_error("a number is expected in the network");
    }
    return out;
  }

 private:
  char next() {
    char c;
    if (!(m_in >> c)) throw std::runtime_error("the network ends too early");
    return c;
  }
  char peek() {
    const char c = next();
    m_in.unget();
    return c;
  }
  void expect(char wanted) {
    if (next() != wanted) throw std::runtime_error(std::string("a sign is missing in the network: ") + wanted);
  }
  std::string text(char quote) {
    std::string out;
    if (quote != '"' || !std::getline(m_in, out, '"')) throw std::runtime_error("a text is expected in the network");
    return out;
  }
  std::istream& m_in;
};

double activated(const std::string& name, double alpha, double x) {
  if (name == "linear" || name == "softmax") return x;
  if (name == "rectified") return x > 0 ? x : 0;
  if (name == "sigmoid") return 1 / (1 + std::exp(-x));
  if (name == "tanh") return std::tanh(x);
  if (name == "elu") return x < 0 ? alpha * (std::exp(x) - 1) : x;
  if (name == "leakyrelu") return x < 0 ? alpha * x : x;
  if (name == "swish") return x / (1 + std::exp(-alpha * x));
  throw std::runtime_error("no activation " + name);
}

Numbers dense(const Value& layer, const Numbers& in) {
  const auto &weights = layer.at("weights").items, &bias = layer.at("bias").items;
  const Value& activation = layer.at("activation");
  const bool has_alpha = activation.has("alpha");
  const std::string name = has_alpha ? activation.at("function").text : activation.text;
  if (weights.size() != bias.size() * in.size()) throw std::runtime_error("a layer does not fit to the one before it");
  Numbers out;
  for (size_t row = 0; row < bias.size(); row++) {
    double sum = bias[row].number;
    for (size_t i = 0; i < in.size(); i++) sum += weights[row * in.size() + i].number * in[i];
    out.push_back(activated(name, has_alpha ? activation.at("alpha").number : 0, sum));
  }
  if (name == "softmax") {
    const double largest = *std::max_element(out.begin(), out.end());
    double total = 0;
    for (double& x : out) total += x = std::exp(x - largest);
    for (double& x : out) x /= total;
  }
  return out;
}

// What an experiment's code does before it calls lwtnn: a default becomes NaN, and the checks are looked up.
Map made(const Value& network, Map jet) {
  const Value& notes = network.at("miscellaneous");
  const std::string check = "check ", before = "default of ";
  const auto is_default = [&](const std::string& name) {  // branches are float
    return notes.has(before + name) && float(jet.at(name)) == std::stof(notes.at(before + name).text);
  };
  Map flags;
  for (const std::string& key : notes.keys)
    if (key.rfind(check, 0) == 0) flags[key.substr(check.size())] = is_default(notes.at(key).text);
  for (auto& [name, value] : jet)
    if (is_default(name)) value = std::numeric_limits<double>::quiet_NaN();
  jet.insert(flags.begin(), flags.end());
  return jet;
}

// What lwtnn does: (x + offset) * scale, with the default of the file for what is NaN or infinite.
Numbers scaled(const Value& variables, const Map& fills, const Map& jet) {
  Numbers out;
  for (const Value& variable : variables.items) {
    const std::string& name = variable.at("name").text;
    double x = jet.at(name);
    if (!std::isfinite(x)) x = fills.at(name);
    out.push_back((x + variable.at("offset").number) * variable.at("scale").number);
  }
  return out;
}

Map read_row(std::istream& in, const std::vector<std::string>& names) {
  Map row;
  std::string word;  // the stream itself does not read "nan"
  for (const std::string& name : names) {
    if (!(in >> word)) throw std::runtime_error("the jets end too early");
    row[name] = std::strtod(word.c_str(), nullptr);
  }
  return row;
}

Numbers of_tracks(const Value& network, std::istream& jets, const std::vector<std::string>& names, int n_tracks) {
  const Value& variables = network.at("input_sequences").items.at(0).at("variables");
  Map fills;
  for (const Value& variable : variables.items)
    if (variable.has("default")) fills[variable.at("name").text] = variable.at("default").number;
  std::vector<Numbers> now;
  for (int i = 0; i < n_tracks; i++) now.push_back(scaled(variables, fills, made(network, read_row(jets, names))));
  size_t width = variables.items.size();
  for (const Value& node : network.at("nodes").items) {  // in the order of calculation
    const std::string& type = node.at("type").text;
    if (type == "input_sequence") continue;
    if (type == "sum") {
      Numbers sum(width, 0.0);
      for (const Numbers& track : now)
        for (size_t i = 0; i < width; i++) sum[i] += track[i];
      now = {sum};
    } else {
      const Value& layer = network.at("layers").items.at(size_t(node.at("layer_index").number));
      for (Numbers& track : now) track = dense(layer, track);
      width = layer.at("bias").items.size();
    }
  }
  return now.at(0);
}

int main(int argc, char* argv[]) try {
  if (argc != 3) throw std::runtime_error("usage: lwtnn_reader network.json jets.txt");
  std::ifstream file(argv[1]), jets(argv[2]);
  const Value network = Parser(file).value();
  std::string line, name;
  std::getline(jets, line);
  std::istringstream header(line);
  std::vector<std::string> names;
  while (header >> name) names.push_back(name);
  const bool is_graph = network.has("nodes");
  const auto& labels = is_graph ? network.at("outputs").items.at(0).at("labels").items : network.at("outputs").items;
  for (const Value& label : labels) std::cout << label.text << ' ';
  std::cout << '\n';
  std::cout.precision(17);
  Map fills;
  if (!is_graph)
    for (const std::string& key : network.at("defaults").keys) fills[key] = network.at("defaults").at(key).number;
  for (int n_tracks; is_graph ? bool(jets >> n_tracks) : bool(jets >> std::ws) && jets.peek() != EOF;) {
    Numbers out;
    if (is_graph) {
      out = of_tracks(network, jets, names, n_tracks);
    } else {
      out = scaled(network.at("inputs"), fills, made(network, read_row(jets, names)));
      for (const Value& layer : network.at("layers").items) out = dense(layer, out);
    }
    for (double x : out) std::cout << x << ' ';
    std::cout << '\n';
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "lwtnn_reader: " << error.what() << '\n';
  return 1;
}
