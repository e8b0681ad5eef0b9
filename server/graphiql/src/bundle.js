// What dist/ is built from: the explorer with its styles and the editor's workers, all served by this server.
import 'graphiql/style.css';
import './page.css';
import './workers.js';
import './explorer.js';
